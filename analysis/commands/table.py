"""`workbench table`: the comparison of runs as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import workbench.commands.completers as completers
from analysis.commands.record_options import say_notes, say_unknown
from analysis.commands.table_text import TableQuery, records_of, written
from workbench.commands.common_options import DEBUG, STORE
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError


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
    published: bool, update: str | None, check: str | None, output: str | None, as_json: bool, **asked: Any
) -> int | None:
    """Compare runs (all of the store, if none is named): the settings that differ, best values, times."""
    if update and check:
        raise InputError("--update and --check together", expected="one of them")
    if update or check:
        from analysis.commands.live_tables import renew

        return renew(Path(str(update or check)), table, asked["store"], write=bool(update))
    if published:
        from analysis.commands.published import show_published

        return show_published(asked["items"], asked["form"], asked["store"], output, as_json)
    from analysis.tables import summary
    from analysis.tables.conventions import convention_note

    query = TableQuery(**asked)
    records = records_of(query)
    say_notes(records)
    if as_json:
        say_unknown(records)
        for line in summary.best_lines(records):
            click.echo(json.dumps(line))
        return None
    convention = convention_note(records)
    if convention:
        click.echo(f"note: {convention}", err=True)
    text = written(records, query)
    if output:
        Path(output).write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)
    return None
