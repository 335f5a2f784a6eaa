"""The two ways in which old records of the field found "the best accuracy", kept to compare with them.

Both look at impostor scores only as thresholds, and only at the highest of them; a pair is told the
same when its score > threshold. Both are at most the exact best accuracy; `top300` was used on
embeddings of the images alone, `top_tenth` on those with the mirrored images added.
"""

from __future__ import annotations

from typing import NamedTuple

from workbench.errors import DataError
from workbench.verification.sorted_scores import SortedScores


class Convention(NamedTuple):
    """Accuracy and threshold under a named convention."""

    accuracy: float
    threshold: float


def top300(ordered: SortedScores) -> Convention:
    """Return the best of the 300 highest impostor scores, the first best from the highest down.

    Right are genuine pairs > t and impostor pairs <= t. Fewer impostor pairs than 300 are all looked
    at. Raises `DataError` without impostor pairs.
    """
    return _best_of_highest(ordered, 300, highest=True)


def top_tenth(ordered: SortedScores) -> Convention:
    """Return the best of the highest tenth of impostor scores, the first best from the lowest up.

    The tenth is rounded down, to one score at least; otherwise as `top300`.
    """
    return _best_of_highest(ordered, max(1, ordered.impostors // 10), highest=False)


def _best_of_highest(ordered: SortedScores, count: int, highest: bool) -> Convention:
    """Return the best among the `count` highest impostor scores; of equals the highest or the lowest.

    Telling by "> t" is a cut just above all pairs that score t.
    """
    if not ordered.impostors:
        raise DataError("no impostor pairs", expected="impostor scores, which are the thresholds here")
    first = ordered.position_of_impostor(max(0, ordered.impostors - count))
    cut = ordered.best_cut(first, highest)
    right = ordered.impostors_below(cut) + ordered.genuine_from(cut)
    return Convention(right / ordered.count, ordered.score(cut - 1))
