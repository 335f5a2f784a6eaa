"""Products of embeddings and class weights, with gradients written by hand.

With 85,742 identities the weights take 175 MB and a batch of logits 44 MB; the three matrix products
(logits, gradient of the embeddings, gradient of the weights) are the floor of the cost. So weights
are never normalised as a matrix: the logits are scaled by 1/|w| instead, and the gradient is formed
in as few passes over the large arrays as the formula allows. Weights lie as [C, d]: a class is a
row, which sampling gathers and norms sum along.
"""

from __future__ import annotations

import math
from typing import Any

from workbench.lazy import tf

# A squared norm below this counts as this, as in Keras_insightface: a row near zero then has small cosines
# and a slope of at most 1/sqrt(FLOOR) = 316 a product, where 1/|row| would grow without bound.
FLOOR = 1e-5

ROWS = 1024  # at most, taken at a time where a temporary of all rows would be large


def inverse_norms(rows: tf.Tensor, native: bool = False) -> tf.Tensor:
    """Return 1/|row| of each row of a matrix [N, d], shape [N]; at most 1/sqrt(FLOOR).

    `native` allows an operation unknown to XLA, one pass over the matrix without a temporary.
    """
    if native:
        return 1.0 / tf.maximum(tf.raw_ops.EuclideanNorm(input=rows, axis=1), math.sqrt(FLOOR))
    return tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(rows), axis=1), FLOOR))


def unit(rows: tf.Tensor) -> tf.Tensor:
    """Return each row of a matrix [N, d] at unit length, shorter where its norm is below sqrt(FLOOR)."""
    return tf.math.l2_normalize(rows, axis=1, epsilon=FLOOR)


def _pulls(scale: tf.Tensor) -> tf.Tensor:
    """Return 1 for the rows whose length the cosine takes out, 0 for those at the floor, from 1/|row|.

    At the floor the factor is a constant: the gradient along the row stays. (The bound lies a little under the
    factor there, which devices round differently.)
    """
    return tf.cast(scale < (1.0 - 1e-5) / math.sqrt(FLOOR), tf.float32)


def cosines(embeddings: tf.Tensor, weights: tf.Tensor, native: bool = False) -> tf.Tensor:
    """Return cos_ij = x_i.w_j / (|x_i| |w_j|), [B, C], of embeddings x [B, d] and weights w [C, d].

    With G the gradient of the cosines, the gradients are
    dx_i = (sum_j G_ij w_j/|w_j| - x_i/|x_i| sum_j G_ij cos_ij) / |x_i|, and the same for w with the
    roles of i and j exchanged; a row at the floor keeps its part along itself. `native` allows operations
    unknown to XLA, which save time and temporaries of the weights' size.
    """

    @tf.custom_gradient
    def product(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Any]:
        x_scale = inverse_norms(x)[:, tf.newaxis]
        w_scale = inverse_norms(w, native)
        units = x * x_scale
        cos = tf.matmul(units, w, transpose_b=True) * w_scale

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.control_dependencies([x_scale]):  # else Grappler first multiplies the factors, [B, C]
                scaled = upstream * w_scale
            along = tf.matmul(scaled, w)
            radial = units * tf.reduce_sum(units * along, axis=1, keepdims=True)
            dx = x_scale * (along - _pulls(x_scale) * radial)
            with tf.control_dependencies([along]):  # else the update copies weights that are still read
                dw = tf.matmul(scaled, units, transpose_a=True)
            if native and w.shape[0] and not tf.config.list_logical_devices("GPU"):
                return dx, _without_radial(dw, w, w_scale)  # the loss has taken the cosines' memory over
            pull = tf.reduce_sum(upstream * cos, axis=0) * tf.square(w_scale) * _pulls(w_scale)
            return dx, dw - w * pull[:, tf.newaxis]

        return cos, gradient

    return product(embeddings, tf.convert_to_tensor(weights))


def _without_radial(matrix: tf.Tensor, rows: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Take from row j of `matrix` [N, d] its part along rows[j], (m_j.w_j) w_j / |w_j|^2, in its own memory.

    `scale` [N] is 1/|w_j|; rows at the floor keep theirs. Some rows at a time, which the processor's cache still holds at the second use.
    TensorFlow writes each item of the first axis for itself, on all cores where it is large: so the items
    are groups of rows.
    """
    count, size = rows.shape
    group = max(n for n in range(1, min(count, ROWS) + 1) if count % n == 0)
    step = ROWS // group * group

    def take(start: tf.Tensor, grouped: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        stop = tf.minimum(start + step, count)
        first, last = start // group, stop // group
        part, own = tf.reshape(grouped[first:last], [-1, size]), rows[start:stop]
        inverse = scale[start:stop]
        factors = tf.reduce_sum(own * part, axis=1) * tf.square(inverse) * _pulls(inverse)
        radial = tf.reshape(own * factors[:, tf.newaxis], [-1, group * size])
        return stop, tf.raw_ops.InplaceSub(x=grouped, i=tf.range(first, last), v=radial)

    grouped = tf.reshape(matrix, [-1, group * size])
    _, grouped = tf.while_loop(lambda start, _: start < count, take, (0, grouped), parallel_iterations=1)
    return tf.reshape(grouped, [count, size])
