"""What networks take: pixels of 0 to 255 as (x - 127.5) / 128, about -1 to 1. The one place that knows the numbers.

They are those of insightface's trainers, so weights from there fit. Multiplying by 1 / 128, a power of two, is exact,
which makes the forms below equal bit for bit.
"""

from __future__ import annotations

import numpy as np

from workbench.lazy import tf

MIDDLE = 127.5
SCALE = 1 / 128


def normalise(pixels: tf.Tensor) -> tf.Tensor:
    """Return pixels (uint8 or float, 0 to 255) of any shape as float32 (x - 127.5) / 128."""
    return (tf.cast(pixels, tf.float32) - MIDDLE) * SCALE


def normalise_array(pixels: np.ndarray) -> np.ndarray:
    """Return `normalise` of a NumPy array as one, without TensorFlow."""
    result: np.ndarray = (pixels.astype(np.float32) - np.float32(MIDDLE)) * np.float32(SCALE)
    return result
