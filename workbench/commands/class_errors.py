"""The worst errors of a classifier: the held-out images of which it predicts another class most confidently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from workbench.commands.classified import Classified, classified, require_images
from workbench.errors import RecordError
from workbench.spec.experiment import Experiment
from workbench.tracking.store import Store
from workbench.verification.top_errors import most_confident_errors

SHOWN_SIZE = 112  # pixels of an image on the sheet
LABEL = "classes"  # what `errors --set` and TensorBoard call them, beside the names of evaluation sets


def show(
    store: Store, run: str, experiment: Experiment, which: str, count: int, out: Path | None, as_json: bool
) -> None:
    """Draw the worst errors of a run's classifier and say what they come to."""
    path = out or Path(f"errors_{LABEL}.png")
    facts, rows = drawn(store, run, experiment, which, count, path)
    if as_json:
        click.echo(json.dumps({**facts, "sheet": str(path), "errors": rows}))
        return
    for row in rows:
        click.echo(
            f"true {row['true']}, predicted {row['predicted']} ({row['confidence']:.4f})  {row['image']}"
        )
    click.echo(
        f"{facts['wrong']} of {facts['images']} held-out images predicted wrongly "
        f"({facts['checkpoint']}); sheet: {path}"
    )


def drawn(
    store: Store, run: str, experiment: Experiment, which: str, count: int, path: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write the sheet of a run's worst errors; return what they come to, and the errors as JSON values.

    Raises `RecordError` where the checkpoint has no classification head, `InputError` where nothing was held out.
    """
    from workbench.train import checkpoint, checkpoint_file
    from workbench.train.from_record import network_of

    require_images(experiment, run, do="choose a run that has one of them, or an evaluation set")
    state, words = checkpoint_file.chosen(store.run_checkpoints(run), which)
    if state is None:
        raise RecordError("no checkpoint", where=run, do="run the experiment first, or resume it")
    network = network_of(experiment, state, "probabilities", run)
    found = classified(network, experiment, store.root.parent, run)
    numbers = most_confident_errors(found.true, found.predicted, found.confidence, count)
    facts = {
        "run": run,
        "set": LABEL,
        "checkpoint": words,
        "epoch": checkpoint.epoch_of(state),
        "images": len(found.true),
        "wrong": int((found.true != found.predicted).sum()),
    }
    draw(found, numbers, facts, path)
    return facts, [_row(found, number) for number in numbers]


def _row(found: Classified, number: int) -> dict[str, Any]:
    record = int(found.records[number])
    return {
        "image": str(found.images.names[record]) if len(found.images.names) else f"image {record}",
        "record": record,
        "true": found.names[found.true[number]],
        "predicted": found.names[found.predicted[number]],
        "confidence": float(found.confidence[number]),
    }


def draw(found: Classified, numbers: np.ndarray, facts: dict[str, Any], path: Path) -> None:
    """Write the sheet: each image beside one of the class that was predicted."""
    from workbench.verification import plots

    read = found.images.reader(SHOWN_SIZE)

    def section(number: int) -> tuple[np.ndarray, np.ndarray, str]:
        row, record = _row(found, number), found.records[number]
        others = np.flatnonzero(found.images.labels == found.predicted[number])
        other = others[0] if len(others) else record
        labels = f"true {shortened(row['true'])}, predicted {shortened(row['predicted'])} ({row['confidence']:.3f})"
        pair = [np.asarray(read(np.int64(place))) for place in (record, other)]
        return pair[0], pair[1], f"{labels}\n{shortened(row['image'])}"

    heading = f"{facts['wrong']} of {facts['images']} predicted wrongly, the most confident first; beside each, an image of the predicted class"
    sheet = plots.contact_sheet([(heading, [section(number) for number in numbers])])
    plots.save(sheet, path)


def shortened(name: str, letters: int = 40) -> str:
    """Return an image's name without its ending, and without a folder that it repeats; its end where it is long."""
    folder, _, stem = name.rpartition("/")
    stem = Path(stem).stem if Path(stem).suffix else stem
    text = stem if not folder or stem.startswith(Path(folder).name) else f"{folder}/{stem}"
    return text if len(text) <= letters else "..." + text[3 - letters :]
