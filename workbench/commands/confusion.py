"""`workbench confusion`: the confusion matrix of a run, on images that it was not trained on."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import click
import numpy as np

from workbench.commands import completers
from workbench.commands.classified import classified, require_images
from workbench.commands.common_options import DEBUG, PATH, STORE, WHICH, json_option
from workbench.spec.experiment import Experiment
from workbench.spec.quick import with_hold_out
from workbench.verification.confusion import MOST, Confusion, confusion

ANNOTATED = 20  # classes up to which the picture says the numbers
NAMED = 60  # classes up to which it names them


@click.command("confusion")
@click.argument("run", shell_complete=completers.runs)
@click.option(
    "--data",
    "source",
    help="Labelled images: a folder, a file or a part such as Digits(); by default the run's own.",
)
@WHICH
@click.option("-o", "--out", type=PATH, help="The picture; by default confusion.png.")
@json_option("counts and rows as one JSON line")
@STORE
@DEBUG
def command(
    run: str, source: str | None, which: str, out: Path | None, as_json: bool, store: str | None
) -> None:
    """Show the confusion matrix of RUN as a picture, and the accuracy of each class.

    The images are those of its validation set, else those it held out of its data.
    """
    from workbench.train.from_record import load_model, open_run

    found = open_run(run, store)
    experiment = _with_data(found.experiment, source, found.run)
    network = load_model(found.experiment, found.checkpoints, which, "logits")
    seen = classified(network, experiment, found.store.root.parent, found.run, MOST)
    result = confusion(seen.true, seen.predicted, seen.names)
    path = out or Path("confusion.png")
    title = f"{found.start.study}/{found.start.name or found.run}, {which} checkpoint: accuracy {result.accuracy:.4f}"
    draw(result, title, path)
    rows = result.per_class()
    if as_json:
        facts = {"run": found.run, "accuracy": result.accuracy, "images": int(result.counts.sum())}
        matrix = {"names": list(result.names), "counts": result.counts.tolist()}
        click.echo(json.dumps({**facts, "classes": rows, **matrix, "picture": str(path)}))
        return
    click.echo(table(rows))
    click.echo(f"accuracy {result.accuracy:.4f} of {int(result.counts.sum())} images; picture: {path}")


def _with_data(experiment: Experiment, source: str | None, run: str) -> Experiment:
    """Return the experiment with `source` as its validation set, or as it is where it has one of its own."""
    from workbench.commands.data import source_of

    if source is not None:
        return with_hold_out(experiment, 0.0).but(validation=source_of(source))
    require_images(experiment, run, do="say --data SOURCE")
    return experiment


def table(rows: list[dict[str, Any]]) -> str:
    """Return a text table, the worst class first."""
    from tabulate import tabulate

    ordered = sorted(rows, key=lambda row: (row["accuracy"], row["class"]))
    body = [
        [
            row["class"],
            row["images"],
            f"{row['accuracy']:.4f}",
            f"{row['taken_for']} ({row['times']})" if row["taken_for"] is not None else "",
        ]
        for row in ordered
    ]
    head = ["class", "images", "accuracy", "taken most often for"]
    return str(tabulate(body, head, "github", disable_numparse=True))


def draw(result: Confusion, title: str, path: Path) -> None:
    """Write the picture: each row a class, in shares of its images."""
    import seaborn
    from matplotlib.figure import Figure

    classes = len(result.names)
    shares = result.counts / np.maximum(result.images, 1)[:, None]
    side = min(4 + 0.35 * classes, 16)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    ticks: Any = list(result.names) if classes <= NAMED else "auto"
    numbers = np.where(result.counts > 0, result.counts.astype(str), "")  # zeros would hide what is confused
    long = classes <= NAMED and max(len(name) for name in result.names) > 3
    seaborn.heatmap(
        shares,
        ax=axes,
        vmin=0,
        vmax=1,
        cmap="Blues",
        square=True,
        xticklabels=ticks,
        yticklabels=ticks,
        annot=numbers if classes <= ANNOTATED else None,
        fmt="",
        linewidths=0.5 if classes <= ANNOTATED else 0,
        linecolor="#e0e0e0",
        cbar_kws={"label": "share of the class", "shrink": 0.8},
    )
    axes.tick_params("y", rotation=0)
    axes.tick_params("x", rotation=90 if long else 0)
    axes.set(xlabel="taken for", ylabel="class")
    axes.set_title(textwrap.fill(title, 60), fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
