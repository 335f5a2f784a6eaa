"""`workbench table`: the comparison of runs as text."""

from __future__ import annotations

import json
from pathlib import Path

import click

import workbench.commands.completers as completers
from workbench.commands.common_options import DEBUG, STORE
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError, RecordError
from workbench.names import direction, no_direction, of_unknown_direction


@click.command()
@click.argument("items", nargs=-1, metavar="[RUN_STUDY_OR_FILE]...", shell_complete=completers.records)
@click.option("--select", metavar="METRIC", help="The metric that chooses the best epoch.")
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
@click.option("--stages", metavar="5,5,10", help="Stage lengths of histories that do not know theirs.")
@click.option(
    "--epochs-from",
    type=click.Choice(["0", "1"]),
    help="What files call their first epoch, if they do not say.",
)
@click.option("--quick", is_flag=True, help="Include --quick runs.")
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a run.")
@DEBUG
def table(
    items: tuple[str, ...],
    select: str | None,
    form: str,
    columns: str | None,
    per_stage: bool,
    baselines: tuple[str, ...],
    judge: str | None,
    stages: str | None,
    epochs_from: str | None,
    quick: bool,
    published: bool,
    store: str | None,
    update: str | None,
    check: str | None,
    output: str | None,
    as_json: bool,
) -> int | None:
    """Compare runs (all of the store, if none is named): the settings that differ, best values, times."""
    if update and check:
        raise InputError("--update and --check together", expected="one of them")
    if update or check:
        from analysis.commands.live_tables import renew

        return renew(Path(str(update or check)), store, write=bool(update))
    if published:
        from analysis.commands.published import show_published

        return show_published(items, form, store, output, as_json)
    options = {"stages": lengths(stages), "epochs_from": counted_from(epochs_from)}
    asked = (select, form, per_stage, baselines, judge, store, columns)
    return show(items, asked, options, quick, output, as_json)


def show(items, asked, options, quick, output, as_json) -> None:  # type: ignore[no-untyped-def]
    """Print the table, or write it to `output`."""
    from analysis.tables import summary
    from analysis.tables.conventions import convention_note

    _, form, per_stage, _, _, store, _ = asked
    records = chosen(items, form, per_stage, options, quick, store)
    say_notes(records)
    if as_json:
        say_unknown(records)
        for line in summary.best_lines(records):
            click.echo(json.dumps(line))
        return
    convention = convention_note(records)
    if convention:
        click.echo(f"note: {convention}", err=True)
    text = written(records, *asked)
    if output:
        Path(output).write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)


def chosen(items, form, per_stage, options, quick, store):  # type: ignore[no-untyped-def]
    """Return the records that a query means, reruns where they are named; raises `InputError` for a wrong one."""
    from analysis.frames import FROM_JOURNALS, read_from_database, without_reruns
    from analysis.sources import Options, load
    from analysis.tables.render import FORMATS
    from workbench.errors import suggestion
    from workbench.tracking.store import find_store

    if form not in FORMATS:
        raise InputError(f"no format {form!r}", where="--format", do=suggestion(form, FORMATS))
    count = len(selected(items, find_store(store)))
    few = count <= FROM_JOURNALS
    if not (per_stage or few):
        click.echo(read_from_database(count), err=True)
    records = load(items, store, Options(**(options or {})), journals=per_stage or few).by_start()
    if items:
        return records
    records = without_reruns(records)
    return records if quick else without_quick(records)


def selected(items, place):  # type: ignore[no-untyped-def]
    """Return the runs and files that a query means, a sweep or a study as its runs."""
    from analysis.frames import FROM_JOURNALS
    from analysis.sources import spread

    if not items or len(items) > FROM_JOURNALS:
        return items or place.runs()
    return [run for item in items for run in spread(place, item)]


def written(  # type: ignore[no-untyped-def]
    records, select, form, per_stage, baselines, judge, store, columns=None
) -> str:
    """Return the table of `records` as text in a format."""
    from analysis.tables import summary
    from analysis.tables.render import render

    if per_stage:
        return render(with_columns(summary.per_stage(records), None, columns)[0], form)
    return comparison(records, select, form, baselines, judge, store, columns)


def with_columns(frame, bold, columns):  # type: ignore[no-untyped-def]
    """Return a table with the columns that a user chose, in that order and under those titles, and what is bold in it.

    The interval of a mean comes with the mean. Raises `InputError` with near names for a column that is not there.
    """
    from workbench.errors import suggestion

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


def comparison(  # type: ignore[no-untyped-def]
    records, select, form, baselines, judge, store, columns=None
) -> str:
    """Return the summary as text, with bold for all that may be best and verdicts against a baseline."""
    from analysis.tables import folded, summary, verdicts
    from analysis.tables.render import render
    from workbench.errors import suggestion
    from workbench.tracking.runs import find_titled
    from workbench.tracking.store import find_store

    known = len(records.notes)
    records = folded.collapsed(records, find_store(store))
    for note in records.notes[known:]:
        click.echo(f"note: {note}", err=True)
    select = select or summary.default_metric(records)
    judge = judge or summary.compared_metric(records, select)
    frame = summary.summary(records, select)
    if judge not in frame:
        raise InputError(
            f"no metric {judge!r}",
            where="--judge",
            do=suggestion(judge, summary.metrics_shown(records, select)),
        )
    if direction(judge) is None:
        raise InputError(no_direction(judge), where="--judge")
    rows = verdicts.rows_of(records, frame, select, find_store(store), judge)
    bold = {judge: verdicts.best_rows(rows, judge)} if len(rows) > 1 else None
    frame = summary.with_states(frame, records.runs)
    if baselines:
        shown = set(frame["run"])
        meant = [
            word if word in shown else find_titled(find_store(store), word) or word for word in baselines
        ]
        frame = verdicts.with_verdicts(frame, rows, judge, verdicts.find_baseline(rows, meant))
        note = verdicts.optimism_note(records, rows, select, judge)
        if note:
            click.echo(f"note: {note}", err=True)
    frame, bold = with_columns(frame, bold, columns)
    return render(frame, form, bold)


def without_quick(records):  # type: ignore[no-untyped-def]
    """Return the records without `--quick` runs; raises `RecordError` when no other run is there."""
    quick = records.runs["quick"].eq(True)
    if quick.all():
        raise RecordError("there are only --quick runs", do="give --quick to see them")
    return records.only(records.runs["run"][~quick]) if quick.any() else records


def lengths(text: str | None) -> tuple[int, ...]:
    """Return "5,5,10" as whole numbers; raises `InputError` for anything else."""
    if not text:
        return ()
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise InputError(
            f"{text!r} are not stage lengths", where="--stages", expected="whole numbers such as 5,5,10"
        )
    return found


def counted_from(text: str | None) -> int | None:
    """Return what `--epochs-from` says as a number, None where it is not given."""
    return None if text is None else int(text)


def say_unknown(records) -> None:  # type: ignore[no-untyped-def]
    """Print one line about metrics that have no best because nobody knows whether they should fall or rise."""
    unknown = of_unknown_direction(records.epochs["metric"].unique())
    if unknown:
        click.echo(f"note: {no_direction(*unknown)}", err=True)


def say_notes(records) -> None:  # type: ignore[no-untyped-def]
    """Print what could not be read, and that records are partial, to the error output."""
    for note in records.notes:
        click.echo(f"note: {note}", err=True)
    if records.partial:
        click.echo(f"partial: {records.partial}", err=True)
