"""How a signal that one process got travels to the others: as a number that each step's sums carry.

A process asks by setting its trainer's `wish`. The sum over all processes arrives with the results of
the next step, the same on each of them, so that all stop at the same place.
"""

from __future__ import annotations

from workbench.lazy import tf

EPOCH_END, NOW = 1.0, 4096.0  # what one process asks for; more processes than this never meet
STOP, BAD, FINISH = (
    1,
    2,
    4,
)  # what a step answers, a sum: stop now, the loss is not finite, stop at the epoch's end


def heard(mean: tf.Tensor, count: int) -> tf.Tensor:
    """Return `STOP` and `FINISH`, as far as somebody asks, from the mean of the wishes of `count` processes."""
    asked = tf.round(mean * float(count))
    later = tf.cast(tf.math.floormod(asked, NOW) > 0.0, tf.float32)
    return STOP * tf.cast(asked >= NOW, tf.float32) + FINISH * later
