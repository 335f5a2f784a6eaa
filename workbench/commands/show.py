"""`workbench list` and `workbench show`: what lies in a store, read from the journals alone."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from workbench import names
from workbench.commands.direction_options import direction_options
from workbench.errors import StoreError
from workbench.security.foreign_files import files_below
from workbench.security.shown import console, markup
from workbench.spec import labels
from workbench.tracking.best import best_values, summary
from workbench.tracking.branch_history import all_rows
from workbench.tracking.remarks import remarks
from workbench.tracking.runs import RunState, find_run, read_state, read_states
from workbench.tracking.store import Store, find_store
from workbench.train.progress import duration, values_line

SHOWN_SETTINGS = 4  # columns of differing settings in a list
SECOND = len("20260101T000000Z")  # of a run's name: when it was named
UNNAMED = re.compile(r"stages\.(\d+)\.name=stage \1")  # of imported records that do not name their stages
LEAST_WIDTH = 140
WHOLE_ROWS = 1000  # columns of text in a pipe or file, where nothing needs to be folded


@click.command("list")
@click.argument("study", required=False)
@click.option("--quick", is_flag=True, help="Show --quick runs too.")
@click.option("--store", metavar="URI", help="Where the records are.")
@direction_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a run.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def list_runs(study: str | None, quick: bool, store: str | None, as_json: bool, debug: bool) -> None:
    """List runs (of one STUDY, or all) with their states, differing settings and best values."""
    place = find_store(store)
    states = sorted((state for state in read_states(place) if _chosen(state, study, quick)), key=_begun)
    if as_json:
        for state in states:
            click.echo(json.dumps(summary(place, state.run)))
        return
    if not states:
        hidden = "" if quick else " (--quick shows quick runs)"
        raise StoreError(
            f"no runs{f' of study {study!r}' if study else ''}{hidden}",
            where=place.root,
            do="`workbench run experiments/quickstart.py` makes some",
        )
    click.echo(table_of(states))
    for name in place.odd_journals():
        click.echo(f"note: {name}: its name is none of a run; passed over")
    for state in states:
        for line in remark_lines(state):
            click.echo(line)


def remark_lines(state: RunState) -> list[str]:
    """Return the lines that say what of a run's record cannot be believed, the same in every command."""
    return [f"note: {state.run}: {text}" for text in remarks(state.journal)]


def _chosen(state: RunState, study: str | None, quick: bool) -> bool:
    start = state.journal.start if state.journal else None
    if start is None:
        return study is None
    return (study is None or start.study == study) and (quick or not start.quick)


def _begun(state: RunState) -> tuple[str, float]:
    """Return what puts runs into the order of their starts: those of one second have names in no order."""
    start = state.journal.start if state.journal else None
    return state.run[:SECOND], start.time if start else 0.0


def runs_table(store: Store, runs: Sequence[str]) -> str:
    """Return the list of the given runs as text."""
    return table_of([read_state(store, run) for run in runs])


def table_of(states: Sequence[RunState]) -> str:
    """Return a text table: one row a run, a column for each of the few settings that tell them apart.

    On a terminal there are as many of these as fit; in a pipe or a file no row is folded.
    """
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WHOLE_ROWS
    told = labels.distinguishing([parameters(state) for state in states])
    settings = list(told[0])[:SHOWN_SETTINGS] if told else []
    for count in range(len(settings), 0, -1):
        text = _drawn(states, told, settings[:count], WHOLE_ROWS)
        if max(map(len, text.splitlines())) <= width:
            return text
    return _drawn(states, told, [], width)


def _drawn(
    states: Sequence[RunState], told: Sequence[dict[str, Any]], settings: Sequence[str], width: int
) -> str:
    from rich.table import Table

    origins = [_origin(state) for state in states]
    from_where = [""] if any(origins) else []
    table = Table(box=None, pad_edge=False)
    for title in ("run", "study", "name", *from_where, *settings, "status", "epochs", "best"):
        table.add_column(markup(title), overflow="fold", no_wrap=title not in ("study", "name"))
    for state, differing, origin in zip(states, told, origins):
        words = [origin for _ in from_where] + [labels.value_text(differing.get(name)) for name in settings]
        row = (*_identity(state), *words, state.status, _progress(state), _best(state))
        table.add_row(*map(markup, row))
    stream = io.StringIO()
    console(stream, width=width).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def parameters(state: RunState) -> dict[str, Any]:
    """Return a run's parameters, places of execution and the numbers that stand for names of stages left out."""
    start = state.journal.start if state.journal else None
    found = dict(start.parameters) if start and start.tags.get(names.TAG_KIND) != names.SWEEP else {}
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("devices") and not UNNAMED.fullmatch(f"{name}={value}")
    }


def _identity(state: RunState) -> tuple[str, str, str]:
    start = state.journal.start if state.journal else None
    if start is None:
        return state.run, "?", "?"
    return state.run, start.study, start.name


def _origin(state: RunState) -> str:
    """Return the run that this one repeats or grew from: `rerun of 2ea2dcb1`, `branch of 787782fe`."""
    if state.journal is None or state.journal.start is None:
        return ""
    again, trunk = state.journal.start.tags.get(names.TAG_RERUN), state.journal.trunk
    if again:
        return f"rerun of {again[-8:]}"
    return f"branch of {trunk['run'][-8:]}" if trunk else ""


def _progress(state: RunState) -> str:
    journal = state.journal
    if journal is None or journal.start is None:
        return "?"
    rows = all_rows(journal)
    return f"{rows[-1].epoch if rows else 0}/{sum(int(stage['epochs']) for stage in journal.start.stages)}"


def _best(state: RunState) -> str:
    """Return the best of the selecting metric and of the sets: `lfw 0.9822 @38`, 1-based epochs."""
    if state.journal is None:
        return ""
    best = best_values(all_rows(state.journal))
    start = state.journal.start
    if start and start.tags.get(names.TAG_KIND) == names.SWEEP:  # its epochs are trials
        target = start.tags.get(names.TAG_OBJECTIVE, "")
        return f"{target} {best[target]['value']:.4f}" if target in best else ""
    sets = [name for name in best if names.is_evaluation(name)]
    chosen = sets or [name for name in (names.metric_that_counts(best),) if name in best]
    return ", ".join(f"{name} {best[name]['value']:.4f} @{best[name]['epoch']}" for name in chosen)


# ---------------------------------------------------------------- one run


@click.command()
@click.argument("run")
@click.option("--store", metavar="URI", help="Where the records are.")
@direction_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def show(run: str, store: str | None, as_json: bool, debug: bool) -> None:
    """Show one RUN (its name, a unique beginning of it, or its MLflow id)."""
    place = find_store(store)
    name = find_run(place, run)
    if as_json:
        click.echo(json.dumps(summary(place, name)))
        return
    for line in description(place, read_state(place, name)):
        click.echo(line)


def description(store: Store, state: RunState) -> list[str]:
    """Return the lines that `show` prints."""
    journal = state.journal
    if journal is None or journal.start is None:
        return [f"run {state.run}  {state.status}", *remark_lines(state)]
    start, end = journal.start, journal.end
    began = datetime.fromtimestamp(start.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    lines = [
        f"run {state.run}  {start.study}/{start.name}  {state.status}"
        + (f": {end.reason}" if end and end.reason else ""),
        f"  id {start.id}, seed {start.seed}, attempt {journal.attempt}, began {began} on {start.host}",
    ]
    trunk = journal.trunk
    if trunk:
        lines.append(f"  branch of run {trunk['run']} after epoch {trunk['epoch']}")
    if names.TAG_RERUN in start.tags:
        lines.append(f"  rerun of run {start.tags[names.TAG_RERUN]}")
    question = start.provenance.get("question")
    lines += [f"  {question}"] if question else []
    lines += ["", "settings"]
    origins = start.provenance.get("origins", {})
    for key, value in start.parameters.items():
        origin = origins.get(key, "")
        note = f"   ({origin})" if origin not in ("", "spec", "default") else ""
        lines.append(f"  {key} = {labels.value_text(value)}{note}")
    lines += ["", *epoch_lines(state), "", *_file_lines(store, state)]
    return [*lines, *remark_lines(state)]


def epoch_lines(state: RunState) -> list[str]:
    """Return one line an epoch, with a heading a stage."""
    assert state.journal is not None and state.journal.start is not None
    lines, stage = [], 0
    trunk = state.journal.trunk if state.journal else {}
    # Runs that were imported earlier have stages without numbers.
    stage_names = {
        int(stage.get("number", at)): str(stage.get("name", ""))
        for at, stage in enumerate(state.journal.start.stages, start=1)
    }
    if trunk:
        lines.append(f"epochs 1 to {trunk['epoch']} are shared with its trunk, run {trunk['run']}")
    for row in all_rows(state.journal):
        if row.stage != stage:
            stage = row.stage
            lines.append(f"stage {stage}: {stage_names.get(stage, '')}")
        lines.append(f"  epoch {row.epoch:>3}  {values_line(row.metrics)}  {_lasted(row.seconds)}".rstrip())
    best = best_values(all_rows(state.journal))
    words = [f"{name} {found['value']:.4f} @{found['epoch']:.0f}" for name, found in best.items()]
    return [*lines, "best (epoch): " + ", ".join(words) if words else "no epoch yet"]


def _lasted(seconds: float) -> str:
    """Return the duration of an epoch; nothing where it is not known, as in many an imported run."""
    return duration(seconds) if math.isfinite(seconds) else ""


def _file_lines(store: Store, state: RunState) -> list[str]:
    lines = [f"journal      {store.journal(state.run)}"]
    for title, folder in (
        ("checkpoints", store.run_checkpoints(state.run)),
        ("artifacts", store.run_artifacts(state.run)),
        ("tensorboard", store.tensorboard / state.run),
    ):
        if folder.exists():
            files = [str(name) for name in files_below(folder)]
            lines.append(f"{title:<12} {folder}: {', '.join(files[:8])}{' ...' if len(files) > 8 else ''}")
    return lines
