"""The sine and the angle of a cosine, exact at the ends of its range and with bounded slopes.

d(angle)/d(cos) = -1/sin(angle) is infinite at cos = +-1, where an identity with one image arrives
sooner or later. The values here are exact; in the slopes alone the sine counts as at least `FLOOR`.
"""

from __future__ import annotations

from typing import Any

from workbench.lazy import tf

FLOOR = 1e-3  # radians: angles nearer than this to 0 or pi have the slope they would have there


def sine(cosine: tf.Tensor) -> tf.Tensor:
    """Return sin(theta) >= 0 of cos(theta); d sin/d cos = -cos/sin."""

    @tf.custom_gradient
    def function(c: tf.Tensor) -> tuple[tf.Tensor, Any]:
        s = _sine(c)
        return s, lambda upstream: -upstream * c / tf.maximum(s, FLOOR)

    return function(cosine)


def angle(cosine: tf.Tensor) -> tf.Tensor:
    """Return theta in 0..pi radians of cos(theta); d theta/d cos = -1/sin."""

    @tf.custom_gradient
    def function(c: tf.Tensor) -> tuple[tf.Tensor, Any]:
        theta = tf.acos(tf.clip_by_value(c, -1.0, 1.0))
        return theta, lambda upstream: -upstream / tf.maximum(_sine(c), FLOOR)

    return function(cosine)


def _sine(c: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.maximum((1.0 - c) * (1.0 + c), 0.0))  # 1 - c*c would lose digits near 1
