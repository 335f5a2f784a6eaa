"""Ten-fold accuracy: the threshold chosen on nine folds, the accuracy measured on the tenth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from workbench.errors import DataError
from workbench.verification.sorted_scores import SortedScores, checked


class Folds(NamedTuple):
    """Accuracy and threshold of each fold; the mean is the figure, the spread the population's std."""

    accuracies: np.ndarray  # [folds]
    thresholds: np.ndarray  # [folds]

    @property
    def mean(self) -> float:
        return float(self.accuracies.mean())

    @property
    def spread(self) -> float:
        return float(self.accuracies.std())


def numbers(count: int, folds: int) -> np.ndarray:
    """Return the fold of each of `count` pairs, [count]: consecutive, the first ones larger by one.

    The field's lists are ordered for this: each tenth of LFW's holds 300 pairs of either kind.
    """
    sizes = np.full(folds, count // folds)
    sizes[: count % folds] += 1
    return np.repeat(np.arange(folds), sizes)


def cross_validated(
    scores: Any,
    same: Any,
    folds: int = 10,
    fold_of: np.ndarray | None = None,
    ordered: SortedScores | None = None,
) -> Folds:
    """Return accuracy by folds; scores and labels [n], `fold_of` [n] names each pair's fold, 0-based.

    For each fold the threshold is the highest of those distinct scores of the other folds that tell
    most of their pairs right (or just above them all, when accepting none is best); a pair is accepted
    when its score >= threshold. `ordered` saves the sorting where that was done with `keep_order`.
    Raises `DataError` for fewer pairs than folds.
    """
    scores, same = checked(scores, same)
    if len(scores) < folds or folds < 2:
        raise DataError(
            f"{len(scores)} pairs in {folds} folds", expected="at least one pair a fold, two folds"
        )
    fold_of = numbers(len(scores), folds) if fold_of is None else np.asarray(fold_of)
    if ordered is None or ordered.order is None:
        ordered = SortedScores(scores, same, keep_order=True)
    assert ordered.order is not None
    steps = (((ordered.keys & 1) << 1) - 1).astype(np.int8)  # +1 impostor, -1 genuine
    ordered_folds = fold_of[ordered.order]
    thresholds = np.empty(folds, scores.dtype)
    for fold in range(folds):
        thresholds[fold] = _threshold(steps * (ordered_folds != fold), scores, ordered.order)
    right = (scores >= thresholds[fold_of]) == same
    accuracies = np.bincount(fold_of, right, folds) / np.bincount(fold_of, minlength=folds)
    return Folds(accuracies, thresholds.astype(np.float64))


def _threshold(steps: np.ndarray, scores: np.ndarray, order: np.ndarray) -> np.floating[Any]:
    """Return the highest best threshold; `steps` are +1 impostor, -1 genuine, 0 not looked at."""
    gained = steps.cumsum(dtype=np.int32)
    cut = len(steps) - int(gained[::-1].argmax())  # from the end: of equal cuts the highest
    if gained[cut - 1] < 0:
        cut = 0
    if cut < len(steps):  # the last cut with the most right: a pair that counts comes next
        return scores[order[cut]]
    last = np.flatnonzero(steps)[-1]
    return np.nextafter(scores[order[last]], scores.dtype.type(np.inf))
