"""`workbench ijb`: the IJB-B and IJB-C protocols on a run, a model file or saved embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from workbench.commands import completers, ijb_models
from workbench.commands.common_options import PATH, json_option
from workbench.commands.ijb_results import NAMING, measured, one_to_one, plain, write
from workbench.commands.model_option import ModelOptions, model_options
from workbench.errors import DataError
from workbench.verification import ijb, ijb_files


@click.command("ijb")
@click.argument("items", nargs=-1, metavar="[MODEL]... [FOLDER]", shell_complete=completers.models)
@click.option("--sample", type=PATH, help="Write a small drawn set in the same formats here.")
@click.option("--far", multiple=True, metavar="RATES", help="False accept rates, e.g. 1e-4,1e-3.")
@click.option("--reading", metavar="N1D1F1", help="The reading that several models are compared by.")
@click.option("--out", type=PATH, help="Folder for tables.md, tables.json and roc.png.")
@click.option("--save-embeddings", type=PATH, help="Keep the embeddings as .npz.")
@json_option("the tables as one JSON line")
@model_options
def run(items: tuple[str, ...], sample: Path | None, opened: ModelOptions, **options: Any) -> None:
    """Measure each MODEL on the IJB-B or IJB-C set in FOLDER (meta/ and loose_crop/), in all eight readings.

    Several models make one table, a row each. What was found of a run is kept among its artifacts.
    """
    if sample is not None:
        from workbench.verification.ijb_sample import make

        click.echo(f"{make(sample)}: a small set in the formats of IJB-B")
    if len(items) < 2:
        if sample is None or items:
            raise DataError("nothing to measure", expected="MODEL and FOLDER, or --sample FOLDER")
        return
    *models, folder = items
    protocol = ijb_files.read(Path(folder))
    if len(models) > 1:
        ijb_models.compare(protocol, models, opened, options)
        return
    name, outcome, messages = measured(protocol, models[0], opened, options)
    shown = tables(protocol.name, outcome)
    facts = {"model": name, "set": protocol.name, **plain(outcome)}
    if options["out"]:
        results = {str(result.reading): result for result in outcome.results}
        write(options["out"], f"{name} on {protocol.name}", shown, facts, results)
    if options["as_json"]:
        click.echo(json.dumps(facts))
        return
    for note in messages:
        click.echo(f"note: {note}", err=True)
    click.echo(shown)


def tables(name: str, outcome: ijb.ProtocolResult) -> str:
    """Return the 1:1 and 1:N tables as Markdown, with what could not be said below."""
    parts = [NAMING, "", ijb.markdown(*one_to_one(outcome), f"{name} 1:1, TAR at FAR")]
    for gallery, table in ijb.identification_tables(outcome).items():
        parts += ["", ijb.markdown(*table, f"{name} 1:N, {gallery}")]
    messages = ["", *(f"- {message}" for message in outcome.messages)] if outcome.messages else []
    return "\n".join(parts + messages)
