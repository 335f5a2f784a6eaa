"""The table that a query means, as text: which records, which columns, what is bold, what is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from analysis.commands.record_options import without_quick
from workbench.errors import InputError, suggestion
from workbench.names import direction, no_direction
from workbench.tracking.runs import find_titled
from workbench.tracking.store import Store, find_store

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Records


@dataclass(frozen=True)
class TableQuery:
    """What stands behind `workbench table` on a command line, or in the first line of a marked block."""

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

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> TableQuery:
        """Return the query in the parameters of the command, which has options about output too."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})


def records_of(query: TableQuery) -> Records:
    """Return the records that a query means, reruns where they are named; raises `InputError` for a wrong one."""
    from analysis.frames import FROM_JOURNALS, read_from_database, without_reruns
    from analysis.sources import Options, load
    from analysis.tables.render import FORMATS

    if query.form not in FORMATS:
        raise InputError(f"no format {query.form!r}", where="--format", do=suggestion(query.form, FORMATS))
    count = len(_selected(query.items, find_store(query.store)))
    journals = query.per_stage or count <= FROM_JOURNALS
    options = Options(stages=query.stages, epochs_from=query.epochs_from)
    records = load(query.items, query.store, options, journals=journals).by_start()
    if not journals and records.epochs["step"].isna().any():  # those of runs in journals alone are there
        click.echo(read_from_database(count), err=True)
    if query.items:
        return records
    records = without_reruns(records)
    return records if query.quick else without_quick(records)


def _selected(items: Sequence[str], place: Store) -> Sequence[str]:
    """Return the runs and files that a query means, a sweep or a study as its runs."""
    from analysis.frames import FROM_JOURNALS
    from analysis.sources import runs_meant

    if not items or len(items) > FROM_JOURNALS:
        return items or place.runs()
    return [run for item in items for run in runs_meant(place, item)]


def written(records: Records, query: TableQuery) -> str:
    """Return the table of `records` as text in the query's format."""
    from analysis.tables import summary
    from analysis.tables.render import render

    frame, bold = (summary.per_stage(records), None) if query.per_stage else _comparison(records, query)
    frame, bold = _with_columns(frame, bold, query.columns)
    return render(frame, query.form, bold)


def _with_columns(
    frame: pd.DataFrame, bold: dict[str, Any] | None, columns: str | None
) -> tuple[pd.DataFrame, dict[str, Any] | None]:
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


def _comparison(records: Records, query: TableQuery) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return the summary with verdicts against a baseline, and for all that may be best what is bold."""
    from analysis.tables import folded, summary, verdicts

    store, known = find_store(query.store), len(records.notes)
    records = folded.collapsed(records, store)
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
    rows = verdicts.rows_of(records, frame, select, store, judge)
    bold = {judge: verdicts.best_rows(rows, judge)} if len(rows) > 1 else None
    frame = summary.with_states(frame, records.runs)
    if query.baselines:
        shown = set(frame["run"])
        meant = [word if word in shown else find_titled(store, word) or word for word in query.baselines]
        frame = verdicts.with_verdicts(frame, rows, judge, verdicts.find_baseline(rows, meant))
        note = verdicts.optimism_note(records, rows, select, judge)
        if note:
            click.echo(f"note: {note}", err=True)
    return frame, bold
