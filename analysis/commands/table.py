"""`workbench table`: the comparison of runs as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analysis.commands.record_options import (
    EPOCHS_FROM,
    ITEMS,
    QUICK,
    SELECT,
    STAGES,
    say,
    say_notes,
    say_unknown,
    without_quick,
)
from workbench.commands.common_options import DEBUG, STORE, json_option
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError, suggestion
from workbench.names import direction, no_direction
from workbench.tracking.runs import find_titled
from workbench.tracking.store import Store, find_store

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Records


@dataclass(frozen=True)
class Query:
    """What a table shows: the options of `workbench table` that a marked table in a text may hold, too."""

    items: tuple[str, ...] = ()
    select: str | None = None
    form: str = "markdown"
    columns: str | None = None
    per_stage: bool = False
    baselines: tuple[str, ...] = ()
    judge: str | None = None
    stages: tuple[int, ...] = ()
    epochs_from: int | None = None
    quick: bool = False
    store: str | None = None


@click.command()
@ITEMS
@SELECT
@click.option(
    "--format", "form", default="markdown", show_default=True, help="markdown, latex, csv, json or html."
)
@click.option(
    "--columns", metavar="A,B=TITLE", help="The columns to show, in this order; =TITLE calls one otherwise."
)
@click.option(
    "--per-stage", is_flag=True, help="The record of every stage instead: epochs, times, loss, accuracy."
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="RUN",
    help="Judge every row against this one: is it noise?",
)
@click.option(
    "--judge", metavar="METRIC", help="What is judged, at the epoch that --select chose; else that."
)
@STAGES
@EPOCHS_FROM
@QUICK
@click.option(
    "--published",
    is_flag=True,
    help="Published numbers of one STUDY beside ours: the difference, is it noise?",
)
@STORE
@direction_options
@click.option("--update", metavar="FILE", help="Write the tables marked in this Markdown or LaTeX file anew.")
@click.option(
    "--check", metavar="FILE", help="Exit with 1 when a table marked in this file is no longer true."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write into this file instead.")
@json_option("one JSON line a run")
@DEBUG
def table(
    published: bool, update: str | None, check: str | None, output: str | None, as_json: bool, **given: Any
) -> int | None:
    """Compare runs (all of the store, if none is named): the settings that differ, best values, times."""
    query = Query(**given)
    if update and check:
        raise InputError("--update and --check together", expected="one of them")
    if update or check:
        from analysis.commands.live_tables import renew

        return renew(Path(str(update or check)), query.store, write=bool(update))
    if published:
        from analysis.commands.published import show_published

        show_published(query, output, as_json)
    else:
        show(query, output, as_json)
    return None


def show(query: Query, output: str | None, as_json: bool) -> None:
    """Print the table, or write it to `output`."""
    from analysis.tables import summary
    from analysis.tables.conventions import convention_note

    records = chosen(query)
    say_notes(records)
    if as_json:
        say_unknown(records)
        for line in summary.best_lines(records):
            click.echo(json.dumps(line))
        return
    convention = convention_note(records)
    if convention:
        click.echo(f"note: {convention}", err=True)
    say(written(records, query), output)


def chosen(query: Query) -> Records:
    """Return the records that a query means, reruns where they are named; raises `InputError` for a wrong one."""
    from analysis.frames import FROM_JOURNALS, read_from_database, without_reruns
    from analysis.sources import Options, load
    from analysis.tables.render import FORMATS

    if query.form not in FORMATS:
        raise InputError(f"no format {query.form!r}", where="--format", do=suggestion(query.form, FORMATS))
    count = len(selected(query.items, find_store(query.store)))
    journals = query.per_stage or count <= FROM_JOURNALS
    options = Options(stages=query.stages, epochs_from=query.epochs_from)
    records = load(query.items, query.store, options, journals=journals).by_start()
    if not journals and records.epochs["step"].isna().any():  # those of runs in journals alone are there
        click.echo(read_from_database(count), err=True)
    if query.items:
        return records
    records = without_reruns(records)
    return records if query.quick else without_quick(records)


def selected(items: Sequence[str], place: Store) -> Sequence[str]:
    """Return the runs and files that a query means, a sweep or a study as its runs."""
    from analysis.frames import FROM_JOURNALS
    from analysis.sources import spread

    if not items or len(items) > FROM_JOURNALS:
        return items or place.runs()
    return [run for item in items for run in spread(place, item)]


def written(records: Records, query: Query) -> str:
    """Return the table of `records` as text in the format that is asked for."""
    from analysis.tables import summary
    from analysis.tables.render import render

    frame, bold = (summary.per_stage(records), None) if query.per_stage else comparison(records, query)
    frame, bold = with_columns(frame, bold, query.columns)
    return render(frame, query.form, bold)


def with_columns(
    frame: pd.DataFrame, bold: Mapping[str, Any] | None, columns: str | None
) -> tuple[pd.DataFrame, Mapping[str, Any] | None]:
    """Return a table with the columns that a user chose, in that order and under those titles, and what is bold in it.

    The interval of a mean comes with the mean. Raises `InputError` with near names for a column that is not there.
    """
    if not columns:
        return frame, bold
    titles = {}
    for word in columns.split(","):
        name, _, title = (part.strip() for part in word.partition("="))
        if name not in frame:
            known = [one for one in frame if not one.endswith(" ±")]
            raise InputError(f"no column {name!r}", where="--columns", do=suggestion(name, known))
        titles[name] = title or name
        if f"{name} ±" in frame:
            titles[f"{name} ±"] = f"{titles[name]} ±"
    return frame[list(titles)].rename(columns=titles), {
        titles[name]: rows for name, rows in (bold or {}).items() if name in titles
    }


def comparison(records: Records, query: Query) -> tuple[pd.DataFrame, Mapping[str, Any] | None]:
    """Return the summary with verdicts against a baseline, and for all that may be best what is bold."""
    from analysis.tables import folded, summary, verdicts

    place, known = find_store(query.store), len(records.notes)
    records = folded.collapsed(records, place)
    for note in records.notes[known:]:  # those before were said when they were read
        click.echo(f"note: {note}", err=True)
    select = query.select or summary.default_metric(records)
    judge = query.judge or summary.compared_metric(records, select)
    frame = summary.summary(records, select)
    if judge not in frame:
        near = suggestion(judge, summary.metrics_shown(records, select))
        raise InputError(f"no metric {judge!r}", where="--judge", do=near)
    if direction(judge) is None:
        raise InputError(no_direction(judge), where="--judge")
    rows = verdicts.rows_of(records, frame, select, place, judge)
    bold = {judge: verdicts.best_rows(rows, judge)} if len(rows) > 1 else None
    frame = summary.with_states(frame, records.runs)
    if query.baselines:
        shown = set(frame["run"])
        meant = [word if word in shown else find_titled(place, word) or word for word in query.baselines]
        frame = verdicts.with_verdicts(frame, rows, judge, verdicts.find_baseline(rows, meant))
        note = verdicts.optimism_note(records, rows, select, judge)
        if note:
            click.echo(f"note: {note}", err=True)
    return frame, bold
