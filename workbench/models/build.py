"""From a spec to its embedding model, with fresh weights."""

from __future__ import annotations

from workbench.lazy import tf
from workbench.spec.experiment import Experiment


def build_model(experiment: Experiment) -> tf.keras.Model:
    """Return the fresh model: float images [B, s, s, 3] in -1..1 to embeddings [B, d], not normalised."""
    size = experiment.backbone.image_size
    inputs = tf.keras.Input([size, size, 3], name="images")
    features = experiment.backbone.build(inputs)
    outputs = experiment.embedding.build(features)
    return tf.keras.Model(inputs, outputs, name="embedder")
