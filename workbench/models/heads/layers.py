"""The Keras layer that holds a head's weights. It imports TensorFlow, so it is imported inside methods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.lazy import tf
from workbench.models.heads.matmul import ROWS
from workbench.models.heads.weights import Slot, Step

if TYPE_CHECKING:
    from workbench.models.heads.base import WeightedHead

LARGE = 16 * ROWS  # rows of a matrix from which its start is drawn in parts


def add(layer: tf.keras.layers.Layer, name: str, slot: Slot) -> tf.Variable:
    """Create one weight in `layer` as its slot says."""
    start = tf.keras.initializers.Constant(slot.start) if isinstance(slot.start, (int, float)) else slot.start
    if start == "glorot_uniform" and len(slot.shape) == 2 and slot.shape[0] > LARGE:
        start = GlorotInParts()
    return layer.add_weight(
        name=name, shape=slot.shape, initializer=start, trainable=slot.trained, dtype=slot.dtype
    )


class GlorotInParts(tf.keras.initializers.Initializer):
    """Glorot and Bengio's even start of a large matrix [C, d], drawn some rows at a time.

    The distribution is that of `glorot_uniform`, within +-sqrt(6 / (C + d)), without its two
    temporaries of the whole size. TensorFlow's allocators keep what they once took: for 85,742
    identities that were 335 MB for the rest of the training.
    """

    def __call__(self, shape: Any, dtype: Any = tf.float32, **options: Any) -> tf.Tensor:
        limit = math.sqrt(6 / sum(shape))
        word = tf.keras.initializers.RandomUniform(-(2**31), 2**31 - 1)([1], tf.int32)

        @tf.function
        def drawn(word: tf.Tensor) -> tf.Tensor:
            def add(start: tf.Tensor, matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                stop = tf.minimum(start + ROWS, shape[0])
                seed = tf.stack([word[0], start])
                part = tf.random.stateless_uniform([stop - start, shape[1]], seed, -limit, limit, dtype)
                return stop, tf.raw_ops.InplaceUpdate(x=matrix, i=tf.range(start, stop), v=part)

            matrix = tf.raw_ops.Empty(shape=shape, dtype=dtype)
            return tf.while_loop(lambda start, _: start < shape[0], add, (0, matrix), parallel_iterations=1)[
                1
            ]

        return drawn(word)


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
        return self.part.logits(embeddings, labels, self.state, Step(training, native=not self.compiled))
