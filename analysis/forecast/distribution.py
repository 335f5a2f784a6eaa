"""A distribution given by seven quantiles, straight between them on normal paper, and straight on beyond them.

On normal paper (probit scale) a normal distribution is a line, a skewed one a bent line. The same map turns a value
into its normal score and back, which is how the misses of other runs are carried over to this one
(`analysis.forecast.cross_run_prior`).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

Array = np.ndarray
LEVELS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
SCORES = ndtri(LEVELS)
FARTHEST = 6.0  # normal scores: no value is believed to be less likely than this
CERTAIN = 0.9999  # no chance is given as more certain
STEP = 1e-9  # keeps equal quantiles apart


def ordered(ends: Array) -> Array:
    """Return quantiles (levels, ...) that grow strictly with the level."""
    steps = STEP * np.arange(len(ends)).reshape(-1, *([1] * (ends.ndim - 1)))
    return np.maximum.accumulate(ends, axis=0) + steps


def _slopes(ends: Array) -> tuple[Array, Array]:
    """Return the slopes beyond the outermost quantiles: the steeper of the last piece and the last three."""
    # The steeper of two slopes: a tail must not end where two quantiles happen to lie close together.
    low = np.maximum(
        (ends[1] - ends[0]) / (SCORES[1] - SCORES[0]), (ends[2] - ends[0]) / (SCORES[2] - SCORES[0])
    )
    high = np.maximum(
        (ends[-1] - ends[-2]) / (SCORES[-1] - SCORES[-2]), (ends[-1] - ends[-3]) / (SCORES[-1] - SCORES[-3])
    )
    return low, high


def score(ends: Array, value: float) -> float:
    """Return the normal score of `value` under the quantiles `ends` (levels,)."""
    low, high = _slopes(ends)
    if value < ends[0]:
        found = SCORES[0] - (ends[0] - value) / low
    elif value > ends[-1]:
        found = SCORES[-1] + (value - ends[-1]) / high
    else:
        found = np.interp(value, ends, SCORES)
    return float(np.clip(found, -FARTHEST, FARTHEST))


def at_score(ends: Array, scores: Array) -> Array:
    """Return the values at normal `scores` (k, m) under the quantiles `ends` (levels, m): (k, m)."""
    low, high = _slopes(ends)
    piece = np.clip(np.searchsorted(SCORES, scores) - 1, 0, len(SCORES) - 2)
    columns = np.arange(ends.shape[1])
    left, right = ends[piece, columns], ends[piece + 1, columns]
    part = (scores - SCORES[piece]) / (SCORES[piece + 1] - SCORES[piece])
    inner = left + part * (right - left)
    below = ends[0] + (scores - SCORES[0]) * low
    above = ends[-1] + (scores - SCORES[-1]) * high
    return np.where(scores < SCORES[0], below, np.where(scores > SCORES[-1], above, inner))


def probability_below(ends: Array, value: float) -> float:
    """Return the probability of a value below `value`, between 1 - `CERTAIN` and `CERTAIN`."""
    return float(np.clip(ndtr(score(ends, value)), 1 - CERTAIN, CERTAIN))
