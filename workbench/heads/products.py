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
    roles of i and j exchanged. `in_place` spares a temporary of the weights' size, by operations that
    XLA does not know.
    """

    @tf.custom_gradient
    def product(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Any]:
        x_scale = inverse_norms(x)[:, tf.newaxis]
        w_scale = inverse_norms(w)
        unit = x * x_scale
        cos = tf.matmul(unit, w, transpose_b=True) * w_scale

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            pull = tf.reduce_sum(upstream * cos, axis=0) * tf.square(w_scale)
            with tf.control_dependencies([pull]):  # from here on the cosines' memory is free
                scaled = upstream * w_scale
            along = tf.matmul(scaled, w)
            dx = x_scale * (along - unit * tf.reduce_sum(unit * along, axis=1, keepdims=True))
            dw = tf.matmul(scaled, unit, transpose_a=True)
            return dx, (_less(dw, w, pull) if in_place else dw - w * pull[:, tf.newaxis])

        return cos, gradient

    return product(embeddings, tf.convert_to_tensor(weights))


def _less(matrix: tf.Tensor, rows: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Take factors[j] * rows[j] off row j of `matrix`, in its own memory, some rows at a time."""
    count = rows.shape[0]
    for start in range(0, count, ROWS):
        stop = min(start + ROWS, count)
        part = rows[start:stop] * factors[start:stop, tf.newaxis]
        matrix = tf.raw_ops.InplaceSub(x=matrix, i=tf.range(start, stop), v=part)
    return matrix
