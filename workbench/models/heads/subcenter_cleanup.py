"""What follows a training with sub-centers: the images that stand far from their identity's main center.

With k centers an identity, clean images gather around one of them and noisy ones around the others.
Deng et al., "Sub-center ArcFace", ECCV 2020: keep the dominant center of each identity, drop the others
and every image beyond a given angle from it, and train on with one center. Plain NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import DataError

CHUNK = 4096  # images compared at a time


@dataclass(frozen=True)
class Cleaned:
    """What a cleaning keeps, and the center of each identity that it went by."""

    kept: np.ndarray  # bool [N]
    angles: np.ndarray  # [N], degrees to the dominant center
    dominant: np.ndarray  # int [C], the number of each identity's dominant center
    centers: np.ndarray  # [C, d], those centers: the weights of a head with one center


def clean(embeddings: np.ndarray, labels: np.ndarray, centers: np.ndarray, angle: float = 75.0) -> Cleaned:
    """Return which images lie within `angle` degrees of their identity's dominant center.

    `embeddings` [N, d] and `centers` [C, k, d] need not be normalised. The dominant center is the one
    that is nearest to most of the identity's images (the first of equals). Raises `DataError` for
    shapes that do not fit and numbers that are not finite.
    """
    _check(embeddings, labels, centers)
    units = _unit(centers)
    parts = np.array_split(np.arange(len(labels)), max(1, len(labels) // CHUNK))
    cosines = np.concatenate(
        [np.einsum("nd,nkd->nk", _unit(embeddings[part]), units[labels[part]]) for part in parts]
    )
    votes = np.zeros(centers.shape[:2], np.int64)
    np.add.at(votes, (labels, cosines.argmax(axis=1)), 1)
    dominant = votes.argmax(axis=1)
    own = cosines[np.arange(len(labels)), dominant[labels]]
    angles = np.degrees(np.arccos(np.clip(own, -1.0, 1.0)))
    return Cleaned(angles <= angle, angles, dominant, centers[np.arange(len(centers)), dominant])


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))


def _check(embeddings: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> None:
    if embeddings.ndim != 2 or centers.ndim != 3 or centers.shape[2] != embeddings.shape[1]:
        raise DataError(
            f"embeddings {embeddings.shape} and centers {centers.shape} do not fit",
            expected="[N, d] and [C, k, d]",
        )
    if len(labels) != len(embeddings) or (
        len(labels) and not 0 <= labels.min() <= labels.max() < len(centers)
    ):
        raise DataError("labels do not fit", expected=f"one of 0..{len(centers) - 1} for each embedding")
    if not (np.isfinite(embeddings).all() and np.isfinite(centers).all()):
        raise DataError("embeddings or centers are not finite", do="choose another checkpoint")
