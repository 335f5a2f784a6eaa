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


def inverse_norms(rows: tf.Tensor) -> tf.Tensor:
    """Return 1/|row| of each row of a matrix [N, d], shape [N]."""
    return tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(rows), axis=1), TINY))


def cosines(embeddings: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return cos_ij = x_i.w_j / (|x_i| |w_j|), [B, C], of embeddings x [B, d] and weights w [C, d].

    With G the gradient of the cosines, the gradients are
    dx_i = (sum_j G_ij w_j/|w_j| - x_i/|x_i| sum_j G_ij cos_ij) / |x_i|, and the same for w with the
    roles of i and j exchanged.
    """

    @tf.custom_gradient
    def product(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Any]:
        x_scale = inverse_norms(x)[:, tf.newaxis]
        w_scale = inverse_norms(w)
        unit = x * x_scale
        cos = tf.matmul(unit, w, transpose_b=True) * w_scale

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            scaled = upstream * w_scale
            along = tf.matmul(scaled, w)
            dx = x_scale * (along - unit * tf.reduce_sum(unit * along, axis=1, keepdims=True))
            pull = tf.reduce_sum(upstream * cos, axis=0) * tf.square(w_scale)
            dw = tf.matmul(scaled, unit, transpose_a=True) - w * pull[:, tf.newaxis]
            return dx, dw

        return cos, gradient

    return product(embeddings, tf.convert_to_tensor(weights))
