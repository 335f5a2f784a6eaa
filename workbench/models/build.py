"""From a spec to its embedding model, with fresh weights."""

from __future__ import annotations

from workbench.lazy import tf, with_keras_2
from workbench.spec.experiment import Experiment


def build_model(experiment: Experiment) -> tf.keras.Model:
    """Return the fresh model: float images [B, s, s, 3] in -1..1 to embeddings [B, d], not normalised."""
    size = experiment.backbone.image_size
    inputs = tf.keras.Input([size, size, 3], name="images")
    with with_keras_2():
        outputs = experiment.embedding.build(experiment.backbone.build(inputs))
    return tf.keras.Model(inputs, outputs, name="embedder")
