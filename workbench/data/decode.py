"""Encoded bytes to pixels inside the graph, one way for every source, and many images as one array.

Whatever an image was stored as, a network sees it through `decode` and `fit`, so that the same pixels
give the same batches from a folder, from records or from memory.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from workbench.errors import DataError
from workbench.lazy import tf
from workbench.spec.interfaces import Images

BATCH = 256  # images copied at a time


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
        parts = [
            _resized(tf.constant(images[i : i + BATCH]), size).numpy() for i in range(0, len(images), BATCH)
        ]
    return np.concatenate(parts)


def gathered(
    rows: tf.data.Dataset, count: int, size: int, blame: Callable[[int], Exception | None]
) -> np.ndarray:
    """Return all images of a data set as one array, uint8 [count, size, size, 3].

    Args:
        rows: Images, uint8 [size, size, 3] each.
        count: How many there are.
        size: Their side, pixels.
        blame: Told how many were read before one could not be, gives the error to raise; None: TensorFlow's own.
    """
    # Into one array from the start: a list that is joined at the end takes the memory of two.
    result = np.empty((count, size, size, 3), np.uint8)
    done = 0
    try:
        for batch in rows.batch(BATCH).as_numpy_iterator():
            result[done : done + len(batch)] = batch
            done += len(batch)
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
        found = blame(done)
        if found is None:
            raise
        raise found from error
    return result


def records(images: Images, numbers: np.ndarray, size: int) -> np.ndarray:
    """Return the pixels of some records of an opened source, uint8 [n, size, size, 3]."""
    rows = tf.data.Dataset.from_tensor_slices(np.asarray(numbers, np.int64))
    rows = rows.map(images.reader(size), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def blame(done: int) -> Exception:
        found = images.blame(numbers[done:].tolist()) if images.blame is not None else None
        return found or DataError(
            f"one of the images from {images.names[numbers[done]]} on cannot be read",
            expected="complete images",
            do="check the source",
        )

    return gathered(rows, len(numbers), size, blame)


def listed(encoded: Sequence[Any], size: int, where: str, names: Sequence[str] = ()) -> np.ndarray:
    """Return uint8 [N, size, size, 3] of encoded images (bytes) and arrays; raises `DataError` naming a broken one."""
    numbers = [number for number, image in enumerate(encoded) if isinstance(image, bytes)]

    def blame(done: int) -> DataError | None:
        do = "get the file again or leave the image out"
        return first_broken(numbers[done:], lambda number: tf.constant(encoded[number]), names, where, do)

    pixels = np.empty((0, size, size, 3), np.uint8)
    if numbers:
        rows = tf.data.Dataset.from_tensor_slices(tf.constant([encoded[number] for number in numbers]))
        rows = rows.map(lambda image: fit(decode(image), size), tf.data.AUTOTUNE, deterministic=True)
        pixels = gathered(rows, len(numbers), size, blame)
    if len(numbers) == len(encoded):  # nearly always; no second array of all images then
        return pixels
    result = np.empty((len(encoded), size, size, 3), np.uint8)
    result[numbers] = pixels
    for number, image in enumerate(encoded):
        if not isinstance(image, bytes):
            result[number] = fit(tf.constant(image), size).numpy()
    return result


def first_broken(
    numbers: Iterable[int], content: Callable[[int], Any], names: Sequence[str], where: str, do: str
) -> DataError | None:
    """Return the error that names the first image that cannot be decoded, or None where all are sound.

    Args:
        numbers: The images to look at, in order.
        content: Gives the bytes of an image by its number.
        names: Of the images, as far as they have any.
        where: What they are from.
        do: What to do about a broken one.
    """
    for number in numbers:
        name = names[number] if number < len(names) else f"image {number}"
        try:
            decode(content(number))
        except tf.errors.NotFoundError:
            return DataError(f"{name} is gone", where=where, expected="an image")
        except tf.errors.InvalidArgumentError:
            return DataError(
                f"{name} cannot be decoded", where=where, expected="a complete JPEG, PNG, BMP or GIF", do=do
            )
    return None
