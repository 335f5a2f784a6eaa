"""How a signal that one process got travels to the others: as a number that each step's sums carry.

A process asks by setting its trainer's `stop_request`. The sum over all processes arrives with the results of
the next step, the same on each of them, so that all stop at the same place.
"""

from __future__ import annotations

from workbench.lazy import tf

# What one process asks for. One float carries both counts, so that a step sums no second number: the processes
# that ask for the end of the epoch in the ones, those that ask for a stop at once in the 4,096s.
EPOCH_END, NOW = 1.0, 4096.0
# What a step answers, a sum of flags: stop now, the loss is not finite, stop at the epoch's end.
STOP, BAD, FINISH = 1, 2, 4


def decode(mean: tf.Tensor, count: int) -> tf.Tensor:
    """Return `STOP` and `FINISH`, as far as somebody asks, from the mean of the requests of `count` processes."""
    # Rounded: the mean of a few processes' ones and 4,096s is not exact in every number of processes.
    asked = tf.round(mean * float(count))
    later = tf.cast(tf.math.floormod(asked, NOW) > 0.0, tf.float32)
    return STOP * tf.cast(asked >= NOW, tf.float32) + FINISH * later
