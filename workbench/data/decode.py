"""Encoded bytes to pixels inside the graph, one way for every source.

Whatever an image was stored as, a network sees it through `decode` and `fit`, so that the same pixels
give the same batches from a folder, from records or from memory.
"""

from __future__ import annotations

import atexit
import functools
from typing import Any

import numpy as np

from workbench.lazy import tf


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Return uint8 [h, w, 3] of one JPEG, PNG, BMP or GIF (its first frame); grey becomes three equal channels."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def fit(image: tf.Tensor, size: int) -> tf.Tensor:
    """Return `image` (uint8 [h, w, 3]) as [size, size, 3], untouched where it has that size already.

    Bilinear with a filter that follows the scale (antialias), rounded to the nearest grey level.
    """
    right = tf.reduce_all(tf.equal(tf.shape(image), [size, size, 3]))
    result = tf.cond(right, lambda: image, lambda: _resizing(size)(image))
    return tf.ensure_shape(result, [size, size, 3])


@functools.lru_cache(maxsize=16)
def _resizing(size: int) -> Any:
    """Return `_resized` as one call in the graph: its twenty operations cost time even where none is run."""
    atexit.register(_resizing.cache_clear)  # kept until Python itself is torn down, it ends with a traceback
    shape = [tf.TensorSpec([None, None, 3], tf.uint8)]
    apart = {"_noinline": True}
    return tf.function(lambda image: _resized(image, size), shape, experimental_attributes=apart)


def _resized(image: tf.Tensor, size: int) -> tf.Tensor:
    resized = tf.image.resize(image, [size, size], method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def fit_all(images: np.ndarray, size: int) -> np.ndarray:
    """Return uint8 [n, size, size, 3] of uint8 [n, h, w], [n, h, w, 1] or [n, h, w, 3], each as `fit` gives it."""
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    if images.shape[1:3] == (size, size):
        return images
    with tf.device("CPU:0"):
        parts = [_resized(tf.constant(images[i : i + 256]), size).numpy() for i in range(0, len(images), 256)]
    return np.concatenate(parts)
