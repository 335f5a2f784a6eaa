"""`workbench list`: the runs of a store, read from the journals alone, told apart by what differs."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, STORE, json_option
from workbench.commands.direction_options import direction_options
from workbench.commands.run_columns import OWN, Columns, begun, parameters
from workbench.errors import InputError, StoreError, suggestion
from workbench.security.visible_text import console, markup
from workbench.spec import labels
from workbench.tracking.best import summary
from workbench.tracking.reader_notes import read_notes
from workbench.tracking.remarks import remarks
from workbench.tracking.removed_runs import removed
from workbench.tracking.runs import RunState, read_states
from workbench.tracking.store import Store, find_store

LEAST_WIDTH = 140
WHOLE_ROWS = 1000  # columns of text in a pipe or file, where nothing needs to be folded
FOLDED = ("study", "name", "note", "tags")  # columns that may be folded on a narrow terminal


@click.command("list")
@click.argument("study", required=False, shell_complete=completers.studies)
@click.option(
    "--sort",
    metavar="COLUMN",
    default="started",
    show_default=True,
    help="By a column, a setting or a metric (best first).",
)
@click.option("--reverse", is_flag=True, help="Turn the order round.")
@click.option(
    "--columns",
    metavar="A,B,C",
    help=f"What to show: of {', '.join(OWN)}, settings and metrics.",
)
@click.option("--tag", metavar="KEY[=VALUE]", help="Show only the runs with this tag.")
@click.option("--quick", is_flag=True, help="Show --quick runs too.")
@STORE
@direction_options
@json_option("one JSON line a run")
@DEBUG
def list_runs(
    study: str | None,
    sort: str,
    reverse: bool,
    columns: str | None,
    tag: str | None,
    quick: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """List runs (of one STUDY, or all) with their seeds, states, differing settings and best values.

    What is not shown (--quick runs, removed ones) is counted below.
    """
    place = find_store(store)
    place.require_there()
    every = read_states(place)
    states = sorted((state for state in every if _is_of(state, study) and _has(place, state, tag)), key=begun)
    shown = [state for state in states if quick or not (state.start and state.start.quick)]
    hidden = _hidden(place, len(states) - len(shown))
    if not shown and not as_json:
        raise _none(place, every, study, tag, hidden)
    known = Columns(place, shown)
    states = known.sorted(shown, sort, reverse)
    if as_json:
        for state in states:
            click.echo(json.dumps(summary(place, state.run)))
        return
    chosen = known.named(columns.split(",")) if columns is not None else None
    click.echo(table_of(place, states, chosen))
    if hidden:
        click.echo(f"not shown: {hidden}")
    for name in place.odd_journals():
        click.echo(f"note: {name}: its name is none of a run; passed over")
    for state in states:
        for line in remark_lines(state):
            click.echo(line)


def remark_lines(state: RunState) -> list[str]:
    """Return the lines that say what of a run's record cannot be believed, the same in every command."""
    return [f"note: {state.run}: {text}" for text in remarks(state.journal)]


def _is_of(state: RunState, study: str | None) -> bool:
    start = state.start
    if start is None:
        return study is None
    return study in (None, start.study, f"{start.study}/{start.name}")


def _has(store: Store, state: RunState, tag: str | None) -> bool:
    if tag is None:
        return True
    key, sign, value = tag.partition("=")
    tags = read_notes(store, state.run).tags
    return key in tags and (not sign or tags[key] == value)


def _hidden(store: Store, quick: int) -> str:
    """Return in words what a list leaves out: `3 quick runs (--quick shows them), 1 in the trash`."""
    gone = len(removed(store))
    parts = []
    if quick:
        parts.append(
            f"{quick} quick run{'s' * (quick != 1)} (--quick shows {'it' if quick == 1 else 'them'})"
        )
    if gone:
        parts.append(f"{gone} in the trash (`workbench restore` lists them)")
    return ", ".join(parts)


def _none(
    store: Store, every: Sequence[RunState], study: str | None, tag: str | None, hidden: str
) -> InputError:
    """Return the refusal of a list without a run: an unknown study by its nearest, else how to make a run."""
    starts = [state.start for state in every if state.start]
    studies = sorted({start.study for start in starts})
    if study is not None and study not in {*studies, *(f"{s.study}/{s.name}" for s in starts)} and studies:
        return InputError(f"no study {study!r}", where=store.root, do=suggestion(study, studies))
    what = f"no runs{f' of study {study!r}' if study else ''}{f' with the tag {tag!r}' if tag else ''}"
    do = "`workbench run experiments/quickstart.py` makes some" if not every else None
    return StoreError(f"{what}; {hidden}" if hidden else what, where=store.root, do=do)


# ---------------------------------------------------------------- the table


def table_of(store: Store, states: Sequence[RunState], chosen: Sequence[str] | None = None) -> str:
    """Return a text table: one row a run, a column for each of the few settings that tell them apart.

    On a terminal there are as many of these as fit, and a line names the others; in a pipe or a file no row is
    folded. `chosen` are the columns to show instead.
    """
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WHOLE_ROWS
    known = Columns(store, states)
    if chosen is not None:
        return _drawn(known, states, chosen, [], width)
    distinct = labels.distinguishing([parameters(state) for state in states])
    settings = list(distinct[0]) if distinct else []
    usual = ["run", "study", "name", *known.filled(("seed", "from", "tags"), states)]
    for count in range(len(settings), -1, -1):
        differing = [{name: row.get(name) for name in settings[:count]} for row in distinct]
        text = _drawn(known, states, usual, differing, WHOLE_ROWS if count else width)
        if not count or max(map(len, text.splitlines())) <= width:
            break
    rest = [name for name in settings[count:] if name not in usual]
    return f"{text}\nmore that differs, for --columns: {', '.join(rest)}" if rest else text


def _drawn(
    known: Columns,
    states: Sequence[RunState],
    columns: Sequence[str],
    differing: Sequence[dict[str, Any]],
    width: int,
) -> str:
    """Return the table with `columns`, the differing settings behind them unless the columns were chosen."""
    from rich.table import Table

    settings = [name for name in (differing[0] if differing else {}) if name not in columns]
    last = ["status", "epochs", "best"] if columns[:1] == ["run"] and "name" in columns else []
    last = [name for name in last if name not in columns]
    table = Table(box=None, pad_edge=False)
    for title in (*columns, *settings, *last):
        table.add_column(markup(title), overflow="fold", no_wrap=title not in FOLDED)
    for position, state in enumerate(states):
        values = [labels.value_text(differing[position].get(name)) for name in settings]
        cells = [known.text(state, name) for name in columns]
        table.add_row(*map(markup, (*cells, *values, *(known.text(state, name) for name in last))))
    stream = io.StringIO()
    console(stream, width=width).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
