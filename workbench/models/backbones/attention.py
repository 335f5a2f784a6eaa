"""Attention layers of backbones: among positions (BoTNet) and among splits (ResNeSt).

Keras layers, so importing this imports TensorFlow; backbones reach it while they build.
"""

from __future__ import annotations

from typing import Any

from workbench.lazy import tf


def relative_to_absolute(x: tf.Tensor) -> tf.Tensor:
    """Return [..., L, L] where entry (i, j) is `x` [..., L, 2L - 1] at (i, j - i + L - 1).

    Padding one number a row and reading the memory in rows of 2L - 1 shifts each row by one more.
    """
    length = x.shape[-2]
    lead = tf.shape(x)[:-2]
    flat = tf.reshape(tf.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, 1]]), tf.concat([lead, [-1]], 0))
    flat = tf.pad(flat, [[0, 0]] * (len(x.shape) - 2) + [[0, length - 1]])
    rows = tf.reshape(flat, tf.concat([lead, [length + 1, 2 * length - 1]], 0))
    return rows[..., :length, length - 1 :]


@tf.keras.utils.register_keras_serializable("workbench")
class PositionedAttention(tf.keras.layers.Layer):
    """Self-attention over h x w positions with relative position along each axis (Srinivas et al. 2021).

    The input [B, h, w, 3 * n] holds queries, keys and values of `heads` heads; the output is [B, h, w, n].
    logits(p, p') = q_p . k_p' + q_p . r_row(p' - p) + q_p . r_column(p' - p), q scaled by 1 / sqrt(n / heads);
    the softmax runs over both axes of the key positions, in float32.
    """

    def __init__(self, heads: int, **options: Any) -> None:
        super().__init__(**options)
        self.heads = heads

    def build(self, shape: tf.TensorShape) -> None:
        _, height, width, channels = shape
        if channels % (3 * self.heads):
            raise ValueError(f"{channels // 3} channels cannot be shared by {self.heads} heads")
        self.depth = channels // 3 // self.heads
        start = tf.keras.initializers.RandomNormal
        stddev = self.depth**-0.5
        self.rows = self.add_weight("rows", (2 * height - 1, self.depth), initializer=start(stddev=stddev))
        self.columns = self.add_weight(
            "columns", (2 * width - 1, self.depth), initializer=start(stddev=stddev)
        )
        self.size = (int(height), int(width))

    def multiply_adds(self) -> int:
        """Return those of one image: keys and values, then rows and columns, for each query."""
        _, height, width, channels = self.output_shape
        positions = height * width
        return int(positions * channels * (2 * positions + 2 * height - 1 + 2 * width - 1))

    def call(self, qkv: tf.Tensor) -> tf.Tensor:
        (height, width), count = self.size, self.size[0] * self.size[1]
        parts = tf.reshape(qkv, [-1, count, 3, self.heads, self.depth])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))  # each [B, heads, h*w, depth]
        query *= tf.cast(self.depth**-0.5, query.dtype)
        logits = tf.matmul(query, key, transpose_b=True)
        maps = tf.reshape(query, [-1, self.heads, height, width, self.depth])
        logits += tf.reshape(self._position(maps), tf.shape(logits))
        weights = tf.nn.softmax(tf.cast(logits, tf.float32))  # h*w keys in one axis: over both at once
        found = tf.matmul(tf.cast(weights, value.dtype), value)
        return tf.reshape(tf.transpose(found, [0, 2, 1, 3]), [-1, height, width, self.heads * self.depth])

    def _position(self, query: tf.Tensor) -> tf.Tensor:
        """Return [B, heads, h, w, h, w]: what each query adds for the row and the column of a key."""
        columns = relative_to_absolute(tf.einsum("bnhwd,md->bnhwm", query, self.columns))  # [b,n,h,w,w]
        turned = tf.einsum("bnhwd,md->bnwhm", query, self.rows)
        rows = tf.transpose(relative_to_absolute(turned), [0, 1, 3, 2, 4])  # [b,n,h,w,h]
        return columns[:, :, :, :, None, :] + rows[:, :, :, :, :, None]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


@tf.keras.utils.register_keras_serializable("workbench")
class SplitSoftmax(tf.keras.layers.Layer):
    """Weigh the splits of each channel by a softmax over `radix` gates (Zhang et al. 2020, equation 3).

    Inputs: splits [B, h, w, radix, c] and gates [B, 1, 1, radix * c]; output [B, h, w, c]. A radix of 1
    has nothing to choose from and uses a sigmoid.
    """

    def __init__(self, radix: int, **options: Any) -> None:
        super().__init__(**options)
        self.radix = radix

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        splits, gates = inputs
        shape = [-1, 1, 1, self.radix, splits.shape[-1]]
        gates = tf.reshape(tf.cast(gates, tf.float32), shape)
        weights = tf.nn.softmax(gates, axis=3) if self.radix > 1 else tf.sigmoid(gates)
        return tf.reduce_sum(splits * tf.cast(weights, splits.dtype), axis=3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "radix": self.radix}
