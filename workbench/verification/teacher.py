"""The embeddings of a trained model for every image of a source: what a student learns from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from workbench.data.sources import encoded
from workbench.errors import DataError
from workbench.lazy import tf

if TYPE_CHECKING:
    from workbench.data.sources.encoded import Encoded
    from workbench.verification.embedders import Embedder

CHUNK = 2048  # images held decoded at once


def teacher(embedder: Embedder, images: Encoded, exact: bool) -> np.ndarray:
    """Return the embedder's output [N, d] for every image, float16 (float32 if `exact`), in order.

    The embeddings are those of the images themselves, not of mirror images. Raises `DataError` naming
    the first image whose embedding is not finite (in half precision: beyond 65504).
    """
    from workbench.verification.embedders import ImageSet

    rows = []
    for start in range(0, len(images.labels), CHUNK):
        numbers = np.arange(start, min(start + CHUNK, len(images.labels)))
        chunk = ImageSet(
            names=[str(images.names[number]) for number in numbers],
            pixels=lambda size, numbers=numbers: pixels(images, numbers, size),  # type: ignore[misc]
        )
        rows.append(embedder.embed(chunk).plain.astype(np.float32 if exact else np.float16))
    result = np.concatenate(rows)
    bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
    if len(bad):
        raise DataError(
            f"the embedding of {images.names[bad[0]]} is not finite ({len(bad)} of {len(result)})",
            where=embedder.label,
            do="choose another checkpoint" if exact else "try --float32",
        )
    return result


def pixels(images: Encoded, numbers: np.ndarray, size: int) -> np.ndarray:
    """Return some images decoded, uint8 [n, size, size, 3]."""
    records = tf.data.Dataset.from_tensor_slices(numbers.astype(np.int64))
    rows = records.map(encoded.reading(images, size), num_parallel_calls=os.cpu_count() or 1)
    return np.stack(list(rows.as_numpy_iterator()))
