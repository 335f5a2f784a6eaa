"""The network of a run, ready to use on images from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.data import decode, example_images
from workbench.errors import DataError, RecordError
from workbench.lazy import tf
from workbench.pixels import normalise_array
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import terms
from workbench.tracking.journal import read_journal
from workbench.tracking.store import Store
from workbench.train import checkpoint, checkpoint_file
from workbench.train.classifier import Outputs, scale_of
from workbench.train.from_record import network_of

if TYPE_CHECKING:
    import pandas as pd

HEAD = "head/"  # of the arrays of a state: the weights of the last stage's head


def load(
    store: Store, run: str, experiment: Experiment, which: str | int, outputs: Outputs = "embedding"
) -> tf.keras.Model:
    """Return the network of a state of a run, with its head behind it for class outputs.

    Raises `RecordError` where that state is not kept, or holds no head.
    """
    return network_of(experiment, state_of(store, run, which), outputs, run)


def states(store: Store, run: str) -> list[tuple[str, int, int]]:
    """Return what tells the checkpoints of a run apart from those of another moment."""
    found = ((path.name, path.stat()) for path in store.run_checkpoints(run).glob("*.safetensors"))
    return sorted((name, facts.st_ino, facts.st_mtime_ns) for name, facts in found)


def state_of(store: Store, run: str, which: str | int) -> checkpoint.State:
    """Return the state of the `"best"` or `"last"` epoch, or of an epoch by its number."""
    from workbench.train.shared_trunk import read_at

    folder = store.run_checkpoints(run)
    if isinstance(which, int):
        state = read_at(folder, which) or _best_at(folder, which)
        if state is None:
            trained = max((row.epoch for row in read_journal(store.journal(run)).accepted()), default=0)
            if not 1 <= which <= trained:
                raise RecordError(f"no epoch {which}: {trained} were trained", where=run)
            raise RecordError(
                f"no state after epoch {which} is kept",
                where=run,
                expected='"best", "last" or an epoch that is',
                do=f"keep it next time: safety=Safety(keep=({which},))",
            )
        return state
    if which not in ("best", "last"):
        raise RecordError(f"no state {which!r}", where=run, expected='"best", "last" or an epoch')
    state, words = checkpoint_file.chosen(folder, which)
    if state is None or (which == "best" and not words.startswith("best")):
        raise RecordError(
            f"no {which} checkpoint: {words}", where=run, do='ask for "last", or resume the run'
        )
    return state


def _best_at(folder: Path, epoch: int) -> checkpoint.State | None:
    state, words = checkpoint_file.chosen(folder, "best")
    inside = state is not None and state.facts.get("epoch_step")
    return state if state is not None and not inside and words == f"best, epoch {epoch}" else None


def pixels_of(images: Any, size: int) -> np.ndarray:
    """Return images as uint8 [N, size, size, 3]: arrays of any size, one image, or paths of files."""
    if isinstance(images, (str, Path)):
        images = [images]
    if isinstance(images, Sequence) and images and all(isinstance(image, (str, Path)) for image in images):
        from workbench.verification.pair_sets import of_files

        return of_files([Path(image) for image in images]).pixels(size)
    given = np.asarray(images)
    given = given[None] if given.ndim == 3 and given.shape[-1] in (1, 3) else given
    if given.dtype != np.uint8 or given.ndim not in (3, 4):
        raise DataError(
            f"images are {given.dtype} {list(given.shape)}", expected="uint8 [N, h, w, 3], or paths"
        )
    found: np.ndarray = decode.fit_all(given, size)
    return found


def images_of(experiment: Experiment, store: Store, count: int) -> np.ndarray:
    """Return images of an experiment's data, spread evenly over its records, as its network sees them."""
    where = default_places(store.root.parent)
    return example_images.spread(experiment.data, where, experiment.backbone.image_size, count)


def embed(network: tf.keras.Model, images: Any, size: int, label: str) -> np.ndarray:
    """Return float32 embeddings [N, d], those of an image and of its mirror image summed."""
    from workbench.verification import models
    from workbench.verification.embedders import ImageSet

    pixels = pixels_of(images, size)
    given = ImageSet(range(len(pixels)), lambda size: pixels, "")  # type: ignore[arg-type]
    found: np.ndarray = models.from_keras(network, label, size).embed(given).summed
    return found


def predict(store: Store, run: str, experiment: Experiment, images: Any, which: str | int) -> pd.DataFrame:
    """Return the most probable identity of each image by the head that a state holds."""
    import pandas as pd

    from workbench.train.run_data import RunData

    state = state_of(store, run, which)
    plan = experiment.plans()[int(state.facts["stage"]) - 1]
    term = next((term for term in terms(plan.loss) if term.loss.classifier() is not None), None)
    head = plan.loss.classifier()
    if term is None or head is None:
        raise RecordError(
            f"stage {plan.number} ({plan.name}) has no classification head", where=run, do="use embed()"
        )
    identities = RunData(experiment, default_places(store.root.parent)).identities(plan)
    network = network_of(experiment, state)
    pixels = pixels_of(images, experiment.backbone.image_size)
    embeddings = tf.cast(network(normalise_array(pixels), training=False), tf.float32)
    layer = head.layer(len(identities), int(embeddings.shape[-1]))
    labels = tf.zeros(len(pixels), tf.int32)
    layer(embeddings, labels, training=False)  # makes its weights
    _fill(layer, state, run)
    logits, _ = layer(embeddings, labels, training=False)
    shown = tf.nn.softmax(logits * scale_of(term, state.arrays)).numpy()
    best = shown.argmax(1)
    return pd.DataFrame(
        {
            "identity": [identities[label] for label in best],
            "label": best,
            "probability": shown[np.arange(len(best)), best],
        }
    )


def _fill(layer: tf.keras.layers.Layer, state: checkpoint.State, run: str) -> None:
    names = sorted(name for name in state.arrays if name.startswith(HEAD))
    arrays = [state.arrays[name] for name in names]
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in layer.weights]:
        raise RecordError("its checkpoint holds another head", where=run, expected="the head of its stage")
    layer.set_weights(arrays)
