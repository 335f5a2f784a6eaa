"""`workbench ijb`: the IJB-B and IJB-C protocols on a run, a model file or saved embeddings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from workbench.commands.model_option import embedder_of, model_options, rates
from workbench.errors import DataError
from workbench.verification import embedders, ijb, ijb_files
from workbench.verification.measures import FARS


@click.command("ijb")
@click.argument("model", required=False)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--sample", type=click.Path(path_type=Path), help="Write a small drawn set in the same formats here."
)
@click.option("--far", multiple=True, metavar="RATES", help="False accept rates, e.g. 1e-4,1e-3.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for tables.md, tables.json and roc.png.")
@click.option("--save-embeddings", type=click.Path(path_type=Path), help="Keep the embeddings as .npz.")
@click.option("--json", "as_json", is_flag=True, help="Print the tables as one JSON line.")
@model_options
def run(model: str | None, folder: Path | None, sample: Path | None, as_json: bool, **options: Any) -> None:
    """Measure MODEL on the IJB-B or IJB-C set in FOLDER (meta/ and loose_crop/), in all eight readings."""
    if sample is not None:
        from workbench.verification.ijb_sample import make

        click.echo(f"{make(sample)}: a small set in the formats of IJB-B")
    if model is None or folder is None:
        if sample is None:
            raise DataError("nothing to measure", expected="MODEL and FOLDER, or --sample FOLDER")
        return
    protocol = ijb_files.read(folder)
    embedder = embedder_of(
        model, options["store"], options["which"], options["size"], options["raw"], options["trust_code"]
    )
    embedded = ijb.embed(protocol, embedder, _shown)
    if options["save_embeddings"]:
        embedders.save(options["save_embeddings"], embedded)
    fars = rates(options["far"]) if options["far"] else FARS
    outcome = ijb.run(protocol, embedded, fars=fars)
    shown = tables(protocol.name, outcome)
    facts = {"model": embedder.label, "set": protocol.name, **plain(outcome)}
    if options["out"]:
        write(options["out"], f"{embedder.label} on {protocol.name}", shown, facts, outcome)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for note in embedded.messages:
        click.echo(f"note: {note}", err=True)
    click.echo(shown)


def _shown(work: list[slice]) -> Iterable[slice]:
    """Show a bar on a terminal while images are embedded."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(work, "embedding", console=console, disable=not console.is_terminal, transient=True)


def tables(name: str, outcome: ijb.Outcome) -> str:
    """Return the 1:1 and 1:N tables as Markdown, with what could not be said below."""
    columns, rows = ijb.tar_rows(outcome)
    parts = [
        ijb.markdown(
            columns, [str(result.reading) for result in outcome.results], rows, f"{name} 1:1, TAR at FAR"
        )
    ]
    for gallery, table in ijb.identification_tables(outcome).items():
        parts += ["", ijb.markdown(*table, f"{name} 1:N, {gallery}")]
    return "\n".join(
        parts + ([""] + [f"- {message}" for message in outcome.messages] if outcome.messages else [])
    )


def plain(outcome: ijb.Outcome) -> dict[str, Any]:
    """Return the outcome as plain JSON values; what is not said is null."""
    columns, rows = ijb.tar_rows(outcome)
    readings = [str(result.reading) for result in outcome.results]

    def table(
        columns: list[str], names: list[str], rows: list[list[float]]
    ) -> dict[str, dict[str, float | None]]:
        cells = [[None if value != value else value for value in row] for row in rows]
        return {name: dict(zip(columns, row, strict=True)) for name, row in zip(names, cells, strict=True)}

    return {
        "one_to_one": table(columns, readings, rows),
        "one_to_many": {name: table(*found) for name, found in ijb.identification_tables(outcome).items()},
        "messages": list(outcome.messages),
    }


def write(folder: Path, title: str, shown: str, facts: dict[str, Any], outcome: ijb.Outcome) -> None:
    """Write tables.md, tables.json and the ROC figure."""
    from workbench.verification import plots

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(shown + "\n", encoding="utf-8")
    (folder / "tables.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    curves = {
        f"{result.reading}  AUC {result.auc.value:.6f}": result.curve
        for result in outcome.results
        if result.curve is not None and result.auc is not None
    }
    if curves:
        least = max(1e-6, min(float(far[0]) for far, _ in curves.values()))
        plots.save(plots.roc(curves, least, title), folder / "roc.png")
