"""Products of embeddings and class weights, with gradients written by hand.

With 85,742 identities the weights take 175 MB and a batch of logits 44 MB; the three matrix products
(logits, gradient of the embeddings, gradient of the weights) are the floor of the cost. So weights
are never normalised as a matrix: the logits are scaled by 1/|w| instead, and the gradient is formed
in as few passes over the large arrays as the formula allows. Weights lie as [C, d]: a class is a
row, which sampling gathers and norms sum along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lazy import Lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")

TINY = 1e-24  # a squared norm below this counts as this: a zero vector has cosine 0 to everything

ROWS = 4096  # taken at a time where a temporary of all rows would be large


def inverse_norms(rows: tf.Tensor) -> tf.Tensor:
    """Return 1/|row| of each row of a matrix [N, d], shape [N]."""
    count = rows.shape[0]
    if count is None or count <= ROWS:
        squares = tf.reduce_sum(tf.square(rows), axis=1)
    else:
        parts = [rows[start : start + ROWS] for start in range(0, count, ROWS)]
        squares = tf.concat([tf.reduce_sum(tf.square(part), axis=1) for part in parts], axis=0)
    return tf.math.rsqrt(tf.maximum(squares, TINY))


def cosines(embeddings: tf.Tensor, weights: tf.Tensor, in_place: bool = False) -> tf.Tensor:
    """Return cos_ij = x_i.w_j / (|x_i| |w_j|), [B, C], of embeddings x [B, d] and weights w [C, d].

    With G the gradient of the cosines, the gradients are
    dx_i = (sum_j G_ij w_j/|w_j| - x_i/|x_i| sum_j G_ij cos_ij) / |x_i|, and the same for w with the
    roles of i and j exchanged. `in_place` spares temporaries of the weights' and of the logits' size, by
    operations that XLA does not know.
    """

    @tf.custom_gradient
    def product(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Any]:
        x_scale = inverse_norms(x)[:, tf.newaxis]
        w_scale = inverse_norms(w)
        unit = x * x_scale
        cos = tf.matmul(unit, w, transpose_b=True) * w_scale

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # in place the cosines are not asked for again: their memory is free since the loss took them
            pull = None if in_place else tf.reduce_sum(upstream * cos, axis=0) * tf.square(w_scale)
            scaled = upstream * w_scale
            along = tf.matmul(scaled, w)
            dx = x_scale * (along - unit * tf.reduce_sum(unit * along, axis=1, keepdims=True))
            dw = tf.matmul(scaled, unit, transpose_a=True)
            if pull is None:
                return dx, _tangent(dw, w, tf.square(w_scale))
            return dx, dw - w * pull[:, tf.newaxis]

        return cos, gradient

    return product(embeddings, tf.convert_to_tensor(weights))


def _tangent(matrix: tf.Tensor, rows: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Take off row g_j of `matrix` its part along rows[j] = w_j, (g_j.w_j) factors[j] w_j, in its own memory.

    With factors 1/|w|^2 and g_j = sum_i G_ij x_i / (|x_i| |w_j|), g_j.w_j is sum_i G_ij cos_ij. Some rows
    at a time: a temporary of all would be as large as the weights.
    """
    count = rows.shape[0]
    for start in range(0, count, ROWS):
        stop = min(start + ROWS, count)
        part = rows[start:stop]
        along = tf.reduce_sum(part * matrix[start:stop], axis=1) * factors[start:stop]
        taken = part * along[:, tf.newaxis]
        matrix = tf.raw_ops.InplaceSub(x=matrix, i=tf.range(start, stop), v=taken)
    return matrix
