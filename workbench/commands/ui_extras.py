"""What `workbench ui RUN` adds to TensorBoard on request: worst errors as images, the rate a step, embeddings.

Files go beside the run's event files in the board's folder, in the forms that TensorBoard's tabs read.
"""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.commands import class_errors
from workbench.commands.classified import has_images
from workbench.commands.errors import chosen_set, draw, found_errors, pair_sets_of
from workbench.errors import RecordError
from workbench.optimizers import schedule_preview
from workbench.spec.datasets import Images, default_places
from workbench.tracking.runs import read_state
from workbench.tracking.store import Store
from workbench.train.from_record import load_model, no_spec, recorded_experiment
from workbench.views.event_file import EventFile

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment

COUNT = 12  # pairs of either kind on a sheet of errors
MOST_RATES = 2000  # points of a learning rate: TensorBoard keeps a thousand by itself
EMBEDDED = 1000  # images in the projector; it moves that many smoothly
THUMB, SHEET = 48, 8192  # pixels of an image in the projector, and of the sheet that browsers take


def add_errors(store: Store, run: str, folder: Path, trust_code: bool) -> None:
    """Add the worst errors of the best epoch as images: on the evaluation set that chose it, and of the classifier."""
    experiment, _ = _experiment(store, run, trust_code)
    if pair_sets_of(experiment):
        _add_pair_errors(store, run, experiment, folder)
    if has_images(experiment) or not pair_sets_of(experiment):
        _add_class_errors(store, run, experiment, folder)


def _add_pair_errors(store: Store, run: str, experiment: Experiment, folder: Path) -> None:
    label = chosen_set(experiment, None, run)
    pairs, scores, found, facts = found_errors(store, run, experiment, label, "best", COUNT)
    path = folder / f"errors_{label}.png"
    draw(path, pairs, scores, found, facts)
    # In folders of their own: a board that begins anew removes the event files beside its own.
    _add_image(folder / "errors", f"worst errors/{label}", path.read_bytes(), facts["epoch"])


def _add_class_errors(store: Store, run: str, experiment: Experiment, folder: Path) -> None:
    label = class_errors.LABEL
    path = folder / f"errors_{label}.png"
    facts, _ = class_errors.drawn(store, run, experiment, "best", COUNT, path)
    _add_image(folder / f"errors_{label}", f"worst errors/{label}", path.read_bytes(), facts["epoch"])


def add_learning_rate(store: Store, run: str, folder: Path, trust_code: bool) -> None:
    """Add the learning rate of every optimizer step, as the spec has it, by steps instead of epochs."""
    experiment, start = _experiment(store, run, trust_code)
    file, done = EventFile(folder / "schedule"), 0
    for plan, stage in zip(experiment.plans(), start.stages):
        steps = int(stage.get("steps", 0)) * plan.epochs
        every = max(1, math.ceil(steps / MOST_RATES))
        for step in range(0, steps, every):
            rate = schedule_preview.rate_at(plan, step * plan.epochs / steps)
            file.scalars({"schedule/learning_rate": rate}, done + step, start.time)
        done += steps
    file.flush()
    file.close()


def add_embeddings(store: Store, run: str, folder: Path, trust_code: bool) -> None:
    """Add embeddings of images of the run's data by its best network, with identities and thumbnails."""
    experiment, _ = _experiment(store, run, trust_code)
    network = load_model(experiment, store.run_checkpoints(run))
    opened = experiment.data.open(default_places(store.root.parent))
    size = experiment.backbone.image_size
    read, total = opened.reader(size), len(opened.labels)
    places = np.linspace(0, total - 1, min(EMBEDDED, total)).astype(np.int64)
    images = np.stack([np.asarray(read(place)) for place in places])
    write_projector(folder, _embedded(network, images), _identities(opened, places), images)


def _embedded(network: Any, images: np.ndarray) -> np.ndarray:
    from workbench.pixels import normalise_array

    parts = [
        network(normalise_array(images[at : at + 64]), training=False) for at in range(0, len(images), 64)
    ]
    found = np.concatenate([np.asarray(part, np.float32) for part in parts])
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def _identities(opened: Images, places: np.ndarray) -> list[str]:
    return [str(opened.identities[int(opened.labels[place])]) for place in places]


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


def _add_image(folder: Path, tag: str, png: bytes, epoch: int) -> None:
    from PIL import Image

    width, height = Image.open(io.BytesIO(png)).size
    file = EventFile(folder)
    file.image(tag, png, (width, height), epoch, time.time())
    file.flush()
    file.close()


def _experiment(store: Store, run: str, trust_code: bool) -> tuple[Experiment, Any]:
    journal = read_state(store, run).journal
    if journal.start is None:
        raise no_spec(run)
    if not journal.start.stages:
        raise RecordError("tells no stages", where=run, do="choose a run that was trained here")
    return recorded_experiment(journal.start, store=store, trust_code=trust_code), journal.start
