"""`workbench diff`: two runs side by side: what differs in settings, code, data and machine, and what came of it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence

import click

from workbench import names
from workbench.commands import completers
from workbench.commands.common_options import DEBUG, JSON, STORE
from workbench.commands.direction_options import direction_options
from workbench.commands.list_runs import remark_lines
from workbench.commands.run_columns import without_places
from workbench.security.visible_text import one_line
from workbench.spec.labels import value_text
from workbench.tracking.best import best_values
from workbench.tracking.branch_history import all_rows
from workbench.tracking.remarks import require_start
from workbench.tracking.rows import StartRecord
from workbench.tracking.runs import RunState, find_run, read_state
from workbench.tracking.store import Store, find_store
from workbench.train.from_record import KEPT
from workbench.train.progress import is_detail

WIDEST = 44  # letters of a cell
OTHER_LOSS = ("loss", "label_smoothing", "weight_decay", "data")  # settings that make a loss another measure
OTHER = "not comparable"
FACTS = ("commit", "dirty", "engine", "data", "steps")  # of the provenance, what makes a run another one


@click.command()
@click.argument("first", metavar="RUN", shell_complete=completers.runs)
@click.argument("second", metavar="RUN", shell_complete=completers.runs)
@click.option("--code", is_flag=True, help="Show the lines in which the spec files differ, too.")
@STORE
@direction_options
@JSON
@DEBUG
def diff(first: str, second: str, code: bool, store: str | None, as_json: bool) -> None:
    """Show what differs between two RUNs: settings, what they were made of, best values with their epochs."""
    place = find_store(store)
    states = [read_state(place, find_run(place, text)) for text in (first, second)]
    starts = [require_start(state.journal) for state in states]
    told = [without_places(start.parameters) for start in starts]
    settings = _differing([{name: value_text(value) for name, value in one.items()} for one in told])
    made_of = _differing([_made_of(start) for start in starts])
    results = _results(states)
    if as_json:
        runs = [state.run for state in states]
        found = {"runs": runs, "settings": settings, "made_of": made_of, "best": results}
        click.echo(json.dumps(found))
        return
    same = len(set(starts[0].parameters) | set(starts[1].parameters)) - len(settings)
    click.echo("\n".join(_lines([start.title for start in starts], settings, same, made_of, results)))
    if code:
        click.echo("\n".join(_spec_lines(place, starts)))
    for state in states:
        for line in remark_lines(state):
            click.echo(line)


def _made_of(start: StartRecord) -> dict[str, str]:
    """Return what a run was made of beside its settings: code, data, versions, machine."""
    facts = {name: start.provenance[name] for name in FACTS if start.provenance.get(name) not in (None, "")}
    data = facts.pop("data", {})
    flat = {
        **facts,
        **({f"data {key}": value for key, value in data.items()} if isinstance(data, Mapping) else {}),
    }
    flat |= {f"version of {name}": version for name, version in start.versions.items()}
    flat |= {"host": start.host, "id": start.id, "quick": start.quick or None}
    return {name: one_line(value) for name, value in flat.items() if value is not None}


def _differing(both: Sequence[Mapping[str, str]]) -> dict[str, tuple[str | None, str | None]]:
    """Return what is not the same in both: {name: (first, second)}, None where it is off."""
    every = dict.fromkeys(name for one in both for name in one)
    pairs = {name: (both[0].get(name), both[1].get(name)) for name in every}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _results(states: Sequence[RunState]) -> dict[str, list[dict[str, float] | None]]:
    """Return the best value of every metric in both runs; by-products of a set and the rate are left out."""
    found = [best_values(all_rows(state.journal)) for state in states]
    every = dict.fromkeys(name for one in found for name in one if not is_detail(name))
    return {name: [one.get(name) for one in found] for name in every if name != names.STAGE}


def _lines(
    titles: Sequence[str],
    settings: Mapping[str, tuple[str | None, str | None]],
    same: int,
    made_of: Mapping[str, tuple[str | None, str | None]],
    results: Mapping[str, list[dict[str, float] | None]],
) -> Iterator[str]:
    from tabulate import tabulate

    def table(rows: Sequence[Sequence[str]], *more: str) -> str:
        return tabulate(rows, headers=("", *titles, *more), tablefmt="simple", disable_numparse=True)

    words = f"settings: {len(settings)} differ, {same} are the same"
    yield words if settings else f"settings: all {same} are the same"
    if settings:
        yield table([(name, *map(_cell, pair)) for name, pair in settings.items()])
    if made_of:
        yield "\nmade of"
        yield table([(name, *map(_cell, pair)) for name, pair in made_of.items()])
    yield "\nbest (epoch)"
    other = any(word in name for name in settings for word in OTHER_LOSS)
    rows = [
        (name, *map(_best_cell, pair), OTHER if other and names.LOSS in name else _change(name, pair))
        for name, pair in results.items()
    ]
    yield table(rows, "second is") if rows else "no epoch in either"


def _cell(value: str | None) -> str:
    if value is None:
        return "off"
    return value if len(value) <= WIDEST else f"{value[: WIDEST - 4]} ..."


def _best_cell(best: dict[str, float] | None) -> str:
    return f"{best['value']:.4f} @{best['epoch']}" if best else ""


def _change(name: str, pair: Sequence[dict[str, float] | None]) -> str:
    """Return how the second differs from the first in words: `better by 0.0112`."""
    first, second = pair
    if first is None or second is None:
        return ""
    change = float(second["value"] - first["value"])
    if not change:
        return "equal"
    better = names.is_better(name, second["value"], first["value"])
    return f"{'better' if better else 'worse'} by {abs(change):.4f}"


def _spec_lines(store: Store, starts: Sequence[StartRecord]) -> Iterator[str]:
    paths = [store.run_artifacts(start.run) / KEPT for start in starts]
    texts = [path.read_text(encoding="utf-8").splitlines() if path.is_file() else [] for path in paths]
    first, second = (start.title for start in starts)
    found = list(difflib.unified_diff(texts[0], texts[1], first, second, lineterm="", n=1))
    yield "\nspec files"
    yield from found or ["the same, or not kept"]
