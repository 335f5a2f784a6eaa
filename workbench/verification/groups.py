"""Accuracy by subgroup: does one threshold serve everybody alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import DataError
from workbench.verification.intervals import Estimate, share
from workbench.verification.measures import equal_error_rate
from workbench.verification.sorted_scores import SortedScores, checked


@dataclass(frozen=True)
class Group:
    """One subgroup under the common threshold. What its pairs cannot say is None."""

    name: str
    pairs: int
    genuine: int
    accuracy: Estimate
    far: Estimate | None
    tar: Estimate | None
    eer: float | None


def by_group(scores: Any, same: Any, groups: Sequence[str], threshold: float) -> list[Group]:
    """Return accuracy, FAR and TAR of each subgroup at one threshold, with 95 % intervals.

    Scores, labels and `groups` are [n]. The equal error rate is the group's own. Raises `DataError`
    for lists of different lengths.
    """
    scores, same = checked(scores, same)
    names = np.asarray(groups, dtype=np.str_)
    if names.shape != scores.shape:
        raise DataError(f"{len(names)} subgroup names for {len(scores)} pairs", expected="one for each pair")
    return [
        _group(str(name), scores[names == name], same[names == name], threshold) for name in np.unique(names)
    ]


def _group(name: str, scores: np.ndarray, same: np.ndarray, threshold: float) -> Group:
    accepted = scores >= threshold
    genuine, impostors = int(same.sum()), int((~same).sum())
    both = bool(genuine and impostors)
    return Group(
        name,
        len(scores),
        genuine,
        share(int((accepted == same).sum()), len(scores)),
        share(int((accepted & ~same).sum()), impostors) if impostors else None,
        share(int((accepted & same).sum()), genuine) if genuine else None,
        equal_error_rate(SortedScores(scores, same))[0] if both else None,
    )
