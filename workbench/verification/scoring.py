"""Embeddings to scores: the cosine of each pair, and what is said of embeddings that have none."""

from __future__ import annotations

import numpy as np

from workbench.errors import DataError
from workbench.verification.sorted_scores import blocks

PAIRS_AT_ONCE = 1 << 14  # two gathered blocks of 512 numbers take 64 MiB


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Return embeddings [N, d] with length 1, float32; one of length 0 or not finite becomes NaN."""
    vectors = np.asarray(embeddings, np.float32)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)  # lengths must not overflow
        scaled = vectors / np.where(largest > 0, largest, np.nan)
        return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def cosines(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair, float32 [P]; `first` and `second` are rows of `embeddings` [N, d].

    NaN where one of the two has no direction (length 0 or not finite).
    """
    unit = normalised(embeddings)
    result = np.empty(len(first), np.float32)
    for part in blocks(len(first), PAIRS_AT_ONCE):
        np.einsum("pd,pd->p", unit[first[part]], unit[second[part]], out=result[part])
    return result


def unusable(embeddings: np.ndarray) -> str | None:
    """Return what is wrong with embeddings [N, d] in words, or None: not finite, of length 0, empty."""
    if embeddings.ndim != 2 or embeddings.shape[1] == 0:
        return f"the model returns {list(embeddings.shape)}, not [images, numbers]"
    infinite = int(np.count_nonzero(~np.isfinite(embeddings).all(axis=1)))
    if infinite:
        return f"{infinite} of {len(embeddings)} embeddings are not finite"
    zero = int(np.count_nonzero(~embeddings.any(axis=1)))
    return f"{zero} of {len(embeddings)} embeddings are zero" if zero else None


def reduced(embeddings: np.ndarray, components: int) -> np.ndarray:
    """Return embeddings [N, components] on their leading principal components, the mean taken off first.

    Directions fitted on the very images that are then compared flatter the result.
    """
    most = min(embeddings.shape)
    if not 1 <= components <= most:
        raise DataError(
            f"{components} principal components", expected=f"1 to {most}, the smaller of images and numbers"
        )
    centred = embeddings - embeddings.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:components].T
