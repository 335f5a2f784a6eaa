"""`workbench table`: the comparison of runs as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
)
from analysis.commands.table_text import TableQuery, records_of, written
from workbench.commands.common_options import DEBUG, STORE, json_option
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError


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
    query = TableQuery(**given)
    if update and check:
        raise InputError("--update and --check together", expected="one of them")
    if update or check:
        from analysis.commands.live_tables import renew

        return renew(Path(str(update or check)), table, query.store, write=bool(update))
    if published:
        from analysis.commands.published import show_published

        show_published(query, output, as_json)
    else:
        show(query, output, as_json)
    return None


def show(query: TableQuery, output: str | None, as_json: bool) -> None:
    """Print the table, or write it to `output`."""
    from analysis.tables import summary
    from analysis.tables.conventions import convention_note

    records = records_of(query)
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
