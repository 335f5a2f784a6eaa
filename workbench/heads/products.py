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

ROWS = 1024  # taken at a time where a temporary of all rows would be large


def inverse_norms(rows: tf.Tensor) -> tf.Tensor:
    """Return 1/|row| of each row of a matrix [N, d], shape [N]."""
    count = rows.shape[0]
    if count is None or count <= ROWS:
        squares = tf.reduce_sum(tf.square(rows), axis=1)
    else:
        squares = _squares_in_parts(rows)
    return tf.math.rsqrt(tf.maximum(squares, TINY))


def _squares_in_parts(rows: tf.Tensor) -> tf.Tensor:
    """Return |row|^2 of each row of a matrix [N, d], [N], without a temporary of the matrix's size."""
    parts = rows.shape[0] // ROWS

    def add(number: tf.Tensor, sums: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        part = tf.slice(rows, [number * ROWS, 0], [ROWS, rows.shape[1]])
        return number + 1, sums.write(number, tf.reduce_sum(tf.square(part), axis=1))

    sums = tf.TensorArray(rows.dtype, parts, element_shape=[ROWS])
    _, sums = tf.while_loop(lambda number, _: number < parts, add, (0, sums), parallel_iterations=1)
    last = tf.reduce_sum(tf.square(rows[parts * ROWS :]), axis=1)
    return tf.concat([tf.reshape(sums.stack(), [-1]), last], axis=0)


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
            with tf.control_dependencies([x_scale]):  # else Grappler first multiplies the factors, [B, C]
                scaled = upstream * w_scale
            along = tf.matmul(scaled, w)
            dx = x_scale * (along - unit * tf.reduce_sum(unit * along, axis=1, keepdims=True))
            with tf.control_dependencies([along]):  # else the update copies weights that are still read
                dw = tf.matmul(scaled, unit, transpose_a=True)
            if in_place:  # the cosines are needed no more: their memory was taken over by the loss
                return dx, _without_radial(dw, w, w_scale)
            pull = tf.reduce_sum(upstream * cos, axis=0) * tf.square(w_scale)
            return dx, dw - w * pull[:, tf.newaxis]

        return cos, gradient

    return product(embeddings, tf.convert_to_tensor(weights))


def _without_radial(matrix: tf.Tensor, rows: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Take from row j of `matrix` its part along rows[j], (m_j.w_j) w_j / |w_j|^2, in its own memory.

    `scale` is 1/|w_j|. Some rows at a time, which the processor's cache still holds at the second use.
    """

    def take(start: tf.Tensor, matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        stop = tf.minimum(start + ROWS, rows.shape[0])
        part, own = rows[start:stop], matrix[start:stop]
        factors = tf.reduce_sum(own * part, axis=1) * tf.square(scale[start:stop])
        radial = part * factors[:, tf.newaxis]
        return stop, tf.raw_ops.InplaceSub(x=matrix, i=tf.range(start, stop), v=radial)

    return tf.while_loop(lambda start, _: start < rows.shape[0], take, (0, matrix), parallel_iterations=1)[1]
