"""The Keras layer that holds a head's weights. It imports TensorFlow, so it is imported inside methods."""

from __future__ import annotations

import tensorflow as tf

from workbench.heads.base import Slot, Step, WeightedHead


def add(layer: tf.keras.layers.Layer, name: str, slot: Slot) -> tf.Variable:
    """Create one weight in `layer` as its slot says."""
    constant = isinstance(slot.start, (int, float))
    return layer.add_weight(
        name=name,
        shape=slot.shape,
        initializer=tf.keras.initializers.Constant(slot.start) if constant else slot.start,
        trainable=slot.trained,
        dtype=slot.dtype,
    )


class HeadLayer(tf.keras.layers.Layer):
    """`(embeddings [B, d], labels [B], training) -> (logits [B, S], targets [B])` of one head."""

    def __init__(self, part: WeightedHead, classes: int, size: int) -> None:
        super().__init__(name="head", dtype="float32")
        self.part = part
        self.state = {name: add(self, name, slot) for name, slot in part.slots(classes, size).items()}
        self.compiled = True  # by XLA; the trainer says when it is not
        self.built = True

    def call(
        self, embeddings: tf.Tensor, labels: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the head's margin-free logits and the column of each image's identity."""
        return self.part.logits(embeddings, labels, self.state, Step(training, self._in_place()))

    def _in_place(self) -> bool:
        return not self.compiled and not tf.config.list_logical_devices("GPU")
