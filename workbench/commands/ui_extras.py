"""What `workbench ui RUN` adds to TensorBoard on request: worst errors as images, the rate a step, embeddings.

Files go beside the run's event files in the board's folder, in the forms that TensorBoard's tabs read.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from workbench.commands import class_errors
from workbench.commands.classified import has_images
from workbench.commands.errors import chosen_set, draw, found_errors, pair_sets_of
from workbench.data import decode, example_images
from workbench.errors import RecordError
from workbench.optimizers import schedule_preview
from workbench.spec.datasets import default_places
from workbench.tracking.store import Store
from workbench.train.from_record import RecordedRun, load_model, read_run
from workbench.views.event_file import EventFile

COUNT = 12  # pairs of either kind on a sheet of errors
MOST_RATES = 2000  # points of a learning rate: TensorBoard keeps a thousand by itself
EMBEDDED = 1000  # images in the projector; it moves that many smoothly
THUMB, SHEET = 48, 8192  # pixels of an image in the projector, and of the sheet that browsers take


def add_errors(store: Store, run: str, folder: Path, trust_code: bool) -> None:
    """Add the worst errors of the best epoch as images: on the evaluation set that chose it, and of the classifier."""
    experiment = _trained(store, run, trust_code).experiment
    paired = bool(pair_sets_of(experiment))
    # In folders of their own: a board that begins anew removes the event files beside its own.
    if paired:
        label = chosen_set(experiment, None, run)
        found = found_errors(store, run, experiment, label, "best", COUNT)
        path = folder / f"errors_{label}.png"
        draw(path, found)
        _add_image(folder / "errors", f"worst errors/{label}", path, found.facts["epoch"])
    if has_images(experiment) or not paired:
        label = class_errors.LABEL
        path = folder / f"errors_{label}.png"
        facts, _ = class_errors.drawn(store, run, experiment, "best", COUNT, path)
        _add_image(folder / f"errors_{label}", f"worst errors/{label}", path, facts["epoch"])


def add_learning_rate(store: Store, run: str, folder: Path, trust_code: bool) -> None:
    """Add the learning rate of every optimizer step, as the spec has it, by steps instead of epochs."""
    found = _trained(store, run, trust_code)
    file, done = EventFile(folder / "schedule"), 0
    for plan, stage in zip(found.experiment.plans(), found.start.stages):
        steps = int(stage.get("steps", 0)) * plan.epochs
        every = max(1, math.ceil(steps / MOST_RATES))
        for step in range(0, steps, every):
            rate = schedule_preview.rate_at(plan, step * plan.epochs / steps)
            file.scalars({"schedule/learning_rate": rate}, done + step, found.start.time)
        done += steps
    file.flush()
    file.close()


def add_embeddings(store: Store, run: str, folder: Path, trust_code: bool) -> None:
    """Add embeddings of images of the run's data by its best network, with identities and thumbnails."""
    from workbench.data import pipeline  # which loads TensorFlow

    found = _trained(store, run, trust_code)
    experiment, size = found.experiment, found.experiment.backbone.image_size
    network = load_model(experiment, found.checkpoints)
    opened = experiment.data.open(default_places(store.root.parent))
    records = example_images.evenly(len(opened.labels), EMBEDDED)
    vectors = pipeline.embeddings(network, opened, records, size)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    labels = [str(opened.identities[int(opened.labels[record])]) for record in records]
    write_projector(folder, vectors, labels, decode.records(opened, records, size))


def write_projector(folder: Path, vectors: np.ndarray, labels: list[str], images: np.ndarray) -> None:
    """Write what TensorBoard's projector reads: vectors [N, d], a label each, and a sheet of thumbnails."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "embeddings.tsv", vectors, fmt="%.6g", delimiter="\t")
    lines = [" ".join(label.split()) or "-" for label in labels]
    (folder / "metadata.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = math.ceil(math.sqrt(len(images)))
    side = min(THUMB, SHEET // columns)
    sheet = Image.new("RGB", (columns * side, columns * side))
    for number, image in enumerate(images):
        place = (number % columns * side, number // columns * side)
        sheet.paste(Image.fromarray(image).resize((side, side)), place)
    sheet.save(folder / "sprite.png")
    (folder / "projector_config.pbtxt").write_text(
        'embeddings {\n  tensor_name: "embeddings"\n  tensor_path: "embeddings.tsv"\n'
        '  metadata_path: "metadata.tsv"\n  sprite {\n    image_path: "sprite.png"\n'
        f"    single_image_dim: {side}\n    single_image_dim: {side}\n  }}\n}}\n",
        encoding="utf-8",
    )


def _add_image(folder: Path, tag: str, png: Path, epoch: int) -> None:
    from PIL import Image

    width, height = Image.open(png).size
    file = EventFile(folder)
    file.image(tag, png.read_bytes(), (width, height), epoch, time.time())
    file.flush()
    file.close()


def _trained(store: Store, run: str, trust_code: bool) -> RecordedRun:
    found = read_run(store, run, trust_code=trust_code)
    if not found.start.stages:
        raise RecordError("tells no stages", where=run, do="choose a run that was trained here")
    return found
