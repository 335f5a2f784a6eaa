"""The embeddings of a trained model for every image of a source: what a student learns from."""

from __future__ import annotations

import numpy as np

from workbench.data.sources.encoded import Encoded, decoded
from workbench.errors import DataError
from workbench.verification.embedders import Embedder, ImageSet
from workbench.verification.sorted_scores import blocks

CHUNK = 2048  # images held decoded at once


def teacher(embedder: Embedder, images: Encoded, exact: bool) -> np.ndarray:
    """Return the embedder's output [N, d] for every image, float16 (float32 if `exact`), in order.

    The embeddings are those of the images themselves, not of mirror images. Raises `DataError` naming
    the first image that is broken, or whose embedding is not finite (in half precision: beyond 65504).
    """
    rows = []
    for part in blocks(len(images.labels), CHUNK):
        names = [str(images.names[number]) for number in range(part.start, part.stop)]
        chunk = ImageSet(names, lambda size, start=part.start: decoded(images, size, start, CHUNK))  # type: ignore[misc]
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
