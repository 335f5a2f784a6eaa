"""The Keras layer that holds a head's weights. It imports TensorFlow, so it is imported inside methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from workbench.heads.base import Slot, Step, WeightedHead


def add(layer: tf.keras.layers.Layer, name: str, slot: Slot) -> tf.Variable:
    """Create one weight in `layer` as its slot says."""
    constant = isinstance(slot.start, (int, float))
    start = tf.keras.initializers.Constant(slot.start) if constant else _sparing(slot.start)
    return layer.add_weight(
        name=name,
        shape=slot.shape,
        initializer=start,
        trainable=slot.trained,
        dtype=slot.dtype,
    )


def _sparing(start: Any) -> Callable[..., tf.Tensor]:
    """Return a Keras initializer whose steps share one memory, as operations of one graph do.

    Run one by one, drawing, scaling and moving take three times the weights' memory, and TensorFlow's
    allocator for CPUs never gives it back.
    """
    initializer = tf.keras.initializers.get(start)

    def initialise(shape: Any, dtype: Any = None, **more: Any) -> tf.Tensor:
        return tf.function(lambda: initializer(shape, dtype=dtype, **more), autograph=False)()

    return initialise


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
