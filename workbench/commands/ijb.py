"""`workbench ijb`: the IJB-B and IJB-C protocols on a run, a model file or saved embeddings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from workbench.commands import completers
from workbench.commands.common_options import PATH, json_option
from workbench.commands.model_option import ModelOptions, model_options, rates
from workbench.errors import DataError
from workbench.files import write_json
from workbench.security.visible_text import console
from workbench.tracking.runs import find_run
from workbench.tracking.store import find_store
from workbench.verification import embedders, ijb, ijb_files, plots
from workbench.verification.measures import FARS
from workbench.verification.models import is_file

Table = tuple[list[str], list[str], list[list[float]]]  # columns, names of the rows, values
NAMING = (  # said above the tables: the two projects that publish such rows name them the other way round
    "N0: features at length 1; N1: lengths kept, as InsightFace names them (Keras_insightface swaps N0 and N1); "
    "D1: weighed by the detector's score; F1: mirror image added"
)


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
        from workbench.commands import ijb_models

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


def measured(
    protocol: ijb_files.Protocol, model: str, opened: ModelOptions, options: Mapping[str, Any]
) -> tuple[str, ijb.ProtocolResult, Sequence[str]]:
    """Return the name of a model, what the protocol says of it, and remarks; a run keeps what was said."""
    embedder = opened.embedder(model)
    embedded = ijb.embed(protocol, embedder, _shown)
    if options["save_embeddings"]:
        embedders.save(options["save_embeddings"], embedded)
    fars = rates(options["far"]) if options["far"] else FARS
    outcome = ijb.run(protocol, embedded, fars=fars)
    keep(protocol, model, opened.store, {"model": embedder.label, "set": protocol.name, **plain(outcome)})
    return embedder.label, outcome, embedded.messages


def keep(protocol: ijb_files.Protocol, model: str, store: str | None, facts: Mapping[str, Any]) -> None:
    """Write what was said of a run beside its other artifacts, where published numbers look for it."""
    if is_file(model):
        return
    place = find_store(store)
    if place.is_local:
        folder = place.run_artifacts(find_run(place, model)) / "ijb"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{protocol.name}.json", facts)


def _shown(work: list[slice]) -> Iterable[slice]:
    """Show a bar on a terminal while images are embedded."""
    from rich.progress import track

    screen = console(sys.stderr)
    return track(work, "embedding", console=screen, disable=not screen.is_terminal, transient=True)


def one_to_one(outcome: ijb.ProtocolResult) -> Table:
    """Return TAR at FAR, a row a reading: the columns, the readings and the values."""
    columns, rows = ijb.tar_rows(outcome)
    return columns, [str(result.reading) for result in outcome.results], rows


def tables(name: str, outcome: ijb.ProtocolResult) -> str:
    """Return the 1:1 and 1:N tables as Markdown, with what could not be said below."""
    parts = [NAMING, "", ijb.markdown(*one_to_one(outcome), f"{name} 1:1, TAR at FAR")]
    for gallery, table in ijb.identification_tables(outcome).items():
        parts += ["", ijb.markdown(*table, f"{name} 1:N, {gallery}")]
    messages = ["", *(f"- {message}" for message in outcome.messages)] if outcome.messages else []
    return "\n".join(parts + messages)


def plain(outcome: ijb.ProtocolResult) -> dict[str, Any]:
    """Return the outcome as plain JSON values; what is not said is null."""

    def values(table: Table) -> dict[str, dict[str, float | None]]:
        columns, names, rows = table
        cells = [[None if value != value else value for value in row] for row in rows]
        return {name: dict(zip(columns, row, strict=True)) for name, row in zip(names, cells, strict=True)}

    return {
        "naming": NAMING,
        "one_to_one": values(one_to_one(outcome)),
        "one_to_many": {name: values(found) for name, found in ijb.identification_tables(outcome).items()},
        "messages": list(outcome.messages),
    }


def write(folder: Path, title: str, shown: str, facts: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write tables.md, tables.json and a figure with the ROC curve of each result, by its label."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(shown + "\n", encoding="utf-8")
    (folder / "tables.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    curves = {
        f"{label}  AUC {result.auc.value:.6f}": result.curve
        for label, result in results.items()
        if result.curve is not None and result.auc is not None
    }
    if curves:
        least = max(1e-6, min(float(far[0]) for far, _ in curves.values()))
        plots.save(plots.roc(curves, least, title), folder / "roc.png")
