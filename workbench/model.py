"""From a spec to its embedding model, fresh or as a run left it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench import checkpoint
from workbench.errors import RecordError
from workbench.experiment import Experiment

if TYPE_CHECKING:
    import tensorflow as tf


def build(experiment: Experiment) -> tf.keras.Model:
    """Return the fresh model: float images [B, s, s, 3] in -1..1 to embeddings [B, d], not normalised."""
    import tensorflow as tf

    size = experiment.backbone.image_size
    inputs = tf.keras.Input([size, size, 3], name="images")
    features = experiment.backbone.build(inputs)
    outputs = experiment.embedding.build(features)
    return tf.keras.Model(inputs, outputs, name="embedder")


def load(experiment: Experiment, folder: Path, which: str = "best") -> tf.keras.Model:
    """Return the model with the weights of a run's `best` or `last` checkpoint in `folder`.

    Raises `RecordError` where there is no sound checkpoint or it does not fit the spec.
    """
    path = folder / checkpoint.BEST
    state = checkpoint.read(path) if which == "best" and path.exists() else checkpoint.newest(folder)
    if state is None:
        raise RecordError("no checkpoint", where=folder, do="run the experiment first, or resume it")
    embedder = build(experiment)
    checkpoint.restore_embedder(embedder, state)
    return embedder
