"""`workbench verify`: the whole 1:1 report of a model on pairs, and how alike a few images are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from tabulate import tabulate

from workbench.commands import completers
from workbench.commands.common_options import PATH, json_option
from workbench.commands.model_option import ModelOptions, model_options, rates
from workbench.data.image_check import ENDINGS
from workbench.errors import DataError
from workbench.security.visible_text import markdown_cell
from workbench.verification.embedders import Embedder
from workbench.verification.embedders import save as save_embeddings
from workbench.verification.groups import Group, by_group
from workbench.verification.pair_sets import Scored


@click.command()
@click.argument("model", shell_complete=completers.models)
@click.argument("paths", nargs=-1, type=PATH)
@click.option("--pairs", type=PATH, help="A .bin, .csv or .tsv file, or a folder of people.")
@click.option("--folder", type=PATH, help="Where the image paths of a list start from.")
@click.option(
    "--sample", type=click.IntRange(2), help="Draw so many of a folder's pairs, half of them genuine."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of that drawing.")
@click.option("--plain", is_flag=True, help="Leave the mirror images out.")
@click.option("--pca", type=click.IntRange(1), help="Compare on so many principal components.")
@click.option("--far", multiple=True, metavar="RATES", help="False accept rates, e.g. 1e-3,1e-4.")
@click.option("--out", type=PATH, help="Folder for report, scores, figures.")
@click.option("--save-embeddings", type=PATH, help="Keep the embeddings as .npz.")
@json_option("the report as one JSON line")
@model_options
def verify(
    model: str,
    paths: tuple[Path, ...],
    pairs: Path | None,
    as_json: bool,
    opened: ModelOptions,
    **options: Any,
) -> None:
    """Verify MODEL (a run, a model file, or saved embeddings) on pairs.

    Give the pairs as a file or a folder of people (one sub-folder a person), or several image files to
    see how alike they are.
    """
    from workbench.verification import pair_sets

    chosen = [*paths, *([pairs] if pairs else [])]
    if not chosen:
        raise DataError("nothing to verify on", expected="--pairs FILE_OR_FOLDER, a folder, or image files")
    if len(chosen) > 1 or chosen[0].suffix.lower() in ENDINGS:
        show_matrix(opened.embedder(model), chosen, not options["plain"], options["out"], as_json)
        return
    # The pairs before the model: a mistyped path is said at once, a network takes seconds to load.
    known = pair_sets.open_pairs(chosen[0], options["sample"], options["seed"], options["folder"])
    embedder = opened.embedder(model)
    fars = rates(options["far"]) if options["far"] else None
    found = pair_sets.verify(
        embedder, known, mirrored=not options["plain"], components=options["pca"], fars=fars
    )
    if options["save_embeddings"]:
        save_embeddings(options["save_embeddings"], found.embedded)
    groups = _groups(found)
    if options["out"]:
        write(options["out"], embedder.label, chosen[0], found, groups)
    if as_json:
        shown = {"model": embedder.label, "set": str(chosen[0]), **found.report.to_json()}
        click.echo(json.dumps({**shown, "groups": [group_json(group) for group in groups]}))
        return
    for note in (*known.notes, *found.embedded.messages):
        click.echo(f"note: {note}", err=True)
    click.echo(text(embedder.label, chosen[0], found, groups))


def _groups(found: Scored) -> list[Group]:
    if found.pairs.groups is None or found.report.threshold is None:
        return []
    return by_group(found.scores, found.pairs.same, found.pairs.groups, found.report.threshold)


def group_json(group: Group) -> dict[str, Any]:
    """Return a subgroup as plain JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(group).items()}


def text(label: str, pairs: Path, found: Scored, groups: list[Group]) -> str:
    """Return the report as Markdown: one table of measures, one of subgroups where there are any."""
    lines = [
        markdown_cell(f"{label} on {pairs}"),
        "",
        tabulate(found.report.rows(), ("measure", "value"), "github"),
    ]
    in_table = {tar.message for tar in found.report.tars}
    said = [message for message in found.report.messages if message not in in_table]
    lines += ["", *(f"- {message}" for message in said)] if said else []
    if groups:
        shown = [
            (
                markdown_cell(g.name),
                g.pairs,
                g.accuracy,
                g.far or "none",
                g.tar or "none",
                "none" if g.eer is None else f"{g.eer:.4f}",
            )
            for g in groups
        ]
        title = f"At the threshold {found.report.threshold:.4f} of the whole set, by subgroup:"
        lines += [
            "",
            title,
            "",
            tabulate(shown, ("group", "pairs", "accuracy", "FAR", "TAR", "EER"), "github"),
        ]
    return "\n".join(lines)


def write(folder: Path, label: str, pairs: Path, found: Scored, groups: list[Group]) -> None:
    """Write report.md, report.json, scores.npz and the figures roc.png and scores.png to `folder`."""
    from workbench.verification import plots
    from workbench.verification.measures import roc_at
    from workbench.verification.sorted_scores import SortedScores

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text(label, pairs, found, groups) + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(found.report.to_json(), indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(
        folder / "scores.npz",
        scores=found.scores.astype(np.float32),
        same=found.pairs.same,
        first=found.pairs.first.astype(np.int32),
        second=found.pairs.second.astype(np.int32),
    )
    if found.report.accuracy is None:
        return
    ordered = SortedScores(found.scores, found.pairs.same)
    title = f"{label} on {pairs.name}"
    least = 10.0 ** np.floor(np.log10(1 / ordered.impostors))
    plots.save(plots.roc({f"AUC {found.report.auc}": roc_at(ordered)}, least, title), folder / "roc.png")
    thresholds = {"best": found.report.threshold, "EER": found.report.eer_threshold}
    shown = {name: value for name, value in thresholds.items() if value is not None}
    plots.save(plots.scores(found.scores, found.pairs.same, shown, title), folder / "scores.png")


def show_matrix(
    embedder: Embedder, paths: list[Path], mirrored: bool, out: Path | None, as_json: bool
) -> None:
    """Print the cosines of a handful of images as a table; with `out`, draw them too."""
    from workbench.verification import pair_sets, plots

    images = pair_sets.of_files(paths)
    cosines = pair_sets.matrix(embedder, images, mirrored)
    names = shortest(paths)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        pictures = images.pixels(112)
        plots.save(plots.matrix(cosines, names, pictures, embedder.label), out / "matrix.png")
    if as_json:
        click.echo(json.dumps({"images": names, "cosines": np.round(cosines.astype(float), 6).tolist()}))
        return
    rows = [[name, *(f"{value:.3f}" for value in row)] for name, row in zip(names, cosines, strict=True)]
    click.echo(tabulate(rows, ["", *names], "github"))


def shortest(paths: list[Path]) -> list[str]:
    """Return the shortest endings of `paths` that are all different."""
    for parts in range(1, 1 + max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
