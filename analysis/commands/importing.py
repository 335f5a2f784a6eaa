"""`workbench import`: old histories and logs into the store, as finished runs."""

from __future__ import annotations

import json

import click

from analysis.commands.plot import MEANINGS
from analysis.commands.table import lengths, say_notes
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--stages", metavar="5,5,10", help="The lengths of the stages in epochs.")
@click.option("--names", metavar="A,B,C", help="The names of the stages.")
@click.option(
    "--name", "run_names", multiple=True, help="The name of the next run, in order; else the file's."
)
@click.option(
    "--as-one-run", is_flag=True, help="Join all launches and files, each a stage unless --stages is given."
)
@click.option(
    "--first-epoch",
    type=click.IntRange(1),
    default=1,
    help="The first epoch of a run that goes on from another.",
)
@click.option("--parent", metavar="RUN", help="The run that these go on from.")
@click.option(
    "--loss",
    type=click.Choice([*MEANINGS, *MEANINGS.values()]),
    help="Whether the loss includes the regulariser.",
)
@click.option("--zeros-are-gaps", is_flag=True, help="Take zeros for values that were not measured.")
@click.option("--study", default="imported", show_default=True, help="The study that the runs belong to.")
@click.option("--store", metavar="URI", help="Where the records are.")
@direction_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a run.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def import_records(
    paths: tuple[str, ...],
    stages: str | None,
    names: str | None,
    run_names: tuple[str, ...],
    as_one_run: bool,
    first_epoch: int,
    parent: str | None,
    loss: str | None,
    zeros_are_gaps: bool,
    study: str,
    store: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Write old histories and logs into the store as finished runs; importing twice changes nothing."""
    from analysis.import_runs import import_files
    from analysis.sources import Options, resolve
    from analysis.tables.summary import best_lines
    from workbench.tracking.store import find_store

    place = find_store(store)
    own, trunk = lengths(stages), resolve(place, [parent])[0] if parent else None
    options = Options(
        stages=own, stage_names=stage_names(names, own), names=run_names, as_one_run=as_one_run, parent=trunk,
        loss=MEANINGS.get(loss or "", loss), zeros_are_gaps=zeros_are_gaps, first_epoch=first_epoch,
    )  # fmt: skip
    done, records = import_files(paths, place, options, study)
    say_notes(records)
    if as_json:
        for imported, line in zip(done, best_lines(records), strict=True):
            click.echo(json.dumps(line | {"run": imported.run, "study": study, "status": "finished"}))
        return
    for imported in done:
        click.echo(
            f"{imported.run}  {imported.name}{'' if imported.new else '  (there already, nothing changed)'}"
        )


def stage_names(text: str | None, stages: tuple[int, ...]) -> tuple[str, ...]:
    """Return "a,b,c" as names, one a stage; raises `InputError` when their number does not fit."""
    names = tuple(text.split(",")) if text else ()
    if len(names) > len(stages):
        raise InputError(
            f"{len(names)} names for {len(stages)} stages", where="--names", do="give --stages as well"
        )
    return names
