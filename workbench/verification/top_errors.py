"""The worst errors: of pairs, impostors scored highest and genuine ones scored lowest; of a classifier, the most confident."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Worst(NamedTuple):
    """Pair numbers, the worst first; those past the threshold are errors, the rest came nearest to it."""

    impostors: np.ndarray
    genuine: np.ndarray
    false_accepts: int
    false_rejects: int


def worst(scores: np.ndarray, same: np.ndarray, threshold: float, count: int) -> Worst:
    """Return the `count` worst pairs of either kind (fewer where there are fewer); NaN scores are left out."""
    known = np.isfinite(scores)
    impostors, genuine = np.flatnonzero(~same & known), np.flatnonzero(same & known)
    return Worst(
        impostors[np.argsort(-scores[impostors], kind="stable")][:count],
        genuine[np.argsort(scores[genuine], kind="stable")][:count],
        int((scores[impostors] >= threshold).sum()),
        int((scores[genuine] < threshold).sum()),
    )


def most_confident_errors(
    true: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, count: int
) -> np.ndarray:
    """Return the numbers of the `count` images predicted wrongly with most confidence (fewer where there are fewer)."""
    wrong = np.flatnonzero(true != predicted)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
