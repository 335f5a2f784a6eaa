"""`workbench report`: a study as one page."""

from __future__ import annotations

from pathlib import Path

import click

import workbench.commands.completers as completers
from analysis.commands.record_options import QUICK, SELECT
from workbench.commands.common_options import DEBUG, STORE
from workbench.commands.direction_options import direction_options
from workbench.tracking.store import find_store


@click.command()
@click.argument("study", shell_complete=completers.studies)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), help="The folder.  [default: mlruns/reports/STUDY]"
)
@SELECT
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="RUN",
    help="What is judged against; else the first run.",
)
@QUICK
@STORE
@direction_options
@DEBUG
def report(
    study: str,
    output: str | None,
    select: str | None,
    baselines: tuple[str, ...],
    quick: bool,
    store: str | None,
) -> None:
    """Write a STUDY's question, differences, curves, tables, verdicts, costs and links as one page."""
    from analysis.report.collect import read_study
    from analysis.report.write import write

    place = find_store(store)
    known = read_study(study, place, store, select, baselines, quick)
    folder = Path(output) if output else place.report(study)
    for path in write(known, folder):
        click.echo(path)
