"""`workbench identify`: who of a folder of known people is on some images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from workbench.commands import completers
from workbench.commands.common_options import JSON, PATH
from workbench.commands.model_option import ModelOptions, model_options
from workbench.errors import DataError
from workbench.security.visible_text import markdown_cell


@click.command()
@click.argument("model", shell_complete=completers.models)
@click.argument("known", type=PATH)
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option("--threshold", type=float, help="Cosine from which a person counts as known.")
@click.option(
    "--fpir",
    type=float,
    default=0.01,
    show_default=True,
    help="Else: the share of strangers that may be taken for somebody, calibrated on KNOWN.",
)
@click.option("--plain", is_flag=True, help="Leave the mirror images out.")
@JSON
@model_options
def identify(
    model: str,
    known: Path,
    images: tuple[Path, ...],
    threshold: float | None,
    fpir: float,
    plain: bool,
    as_json: bool,
    opened: ModelOptions,
) -> None:
    """Identify the people on IMAGES by MODEL, against the folder KNOWN (one sub-folder a person)."""
    from workbench.verification import pair_sets
    from workbench.verification.gallery import Gallery

    wanted = pair_sets.of_files(images)
    images_of_known, names = pair_sets.people(known)
    embedder = opened.embedder(model)
    given = embedder.embed(images_of_known)
    people = Gallery(given.plain if plain else given.summed, names)
    said = "as given"
    if threshold is None:
        calibrated = people.calibrated(fpir)
        if calibrated.threshold is None:
            raise DataError(
                str(calibrated.message).replace("FAR", "FPIR").replace("impostor pairs", "known images"),
                where=known,
                do="give --threshold, or a higher --fpir",
            )
        threshold = calibrated.threshold
        said = (
            f"for FPIR {fpir:g} by {len(given.plain)} known images, whose own people pass at {calibrated.tar}"
        )
    probes = embedder.embed(wanted)
    answers = people.identify(probes.plain if plain else probes.summed, threshold)
    if as_json:
        listed = [
            {"image": str(image), **answer._asdict()} for image, answer in zip(images, answers, strict=True)
        ]
        click.echo(json.dumps({"threshold": threshold, "answers": listed}))
        return
    click.echo(table(images, answers))
    click.echo(f"\nthreshold {threshold:.4f} {said}")


def table(images: tuple[Path, ...], answers: list[Any]) -> str:
    """Return the answers as a Markdown table."""
    rows = [
        (
            markdown_cell(image),
            markdown_cell(answer.person if answer.known else f"nobody known (nearest: {answer.person})"),
            answer.score,
        )
        for image, answer in zip(images, answers, strict=True)
    ]
    return tabulate(rows, ("image", "person", "cosine"), "github", floatfmt=".4f")
