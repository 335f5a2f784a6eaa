"""The exact measures of 1:1 verification, each read off the sorted scores.

A pair is accepted when its score >= threshold. FAR is the share of impostor pairs accepted, TAR that
of genuine pairs accepted, FRR = 1 - TAR. Every distinct score is a threshold; there is no grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import DataError
from workbench.verification.intervals import CONFIDENCE, Estimate, accepts_at, share
from workbench.verification.sorted_scores import BLOCK, SortedScores, blocks

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class TarAtFar:
    """TAR where at most `far` of the impostor pairs are accepted, with its threshold and intervals.

    `tar` is None where the data cannot say, and `message` tells why. The interval of `tar` counts
    both that the threshold was read off a sample (binomial order statistics) and that the genuine
    pairs are one (Clopper-Pearson), at half the error each. A side of the threshold's interval that
    no score bounds is None.
    """

    far: float
    tar: Estimate | None
    threshold: float | None = None
    threshold_low: float | None = None
    threshold_high: float | None = None
    false_accepts: int = 0
    message: str | None = None


def one_class(ordered: SortedScores) -> str | None:
    """Return why accuracy has no meaning on these pairs, or None where it has one."""
    if ordered.genuine and ordered.impostors:
        return None
    kind = "genuine" if ordered.genuine else "impostor"
    return f"all {ordered.count} pairs are {kind} pairs: no accuracy, it needs both kinds"


def best_accuracy(ordered: SortedScores) -> tuple[float, float]:
    """Return the best share of pairs classified correctly, and the highest threshold that reaches it."""
    cut = ordered.best_cut()
    right = ordered.genuine_from(cut) + ordered.impostors_below(cut)
    return right / ordered.count, ordered.score(cut)


def equal_error_rate(ordered: SortedScores) -> tuple[float, float]:
    """Return the rate at which FAR = FRR and its threshold; between two scores, by a straight line."""
    lower, upper = ordered.crossing()
    (far, frr), (far_next, frr_next) = _rates(ordered, lower), _rates(ordered, upper)
    gap, gap_next = far - frr, far_next - frr_next
    way = gap / (gap - gap_next)
    return far + way * (far_next - far), ordered.score(upper)


def _rates(ordered: SortedScores, cut: int) -> tuple[float, float]:
    rejected = ordered.impostors_below(cut)
    return (ordered.impostors - rejected) / ordered.impostors, (cut - rejected) / ordered.genuine


def area(ordered: SortedScores) -> Estimate:
    """Return the area under the ROC, ties counted half, with its interval (DeLong et al. 1988).

    AUC is the mean share of impostor scores below a genuine one; its variance is that of these shares
    over the genuine pairs, by their number, plus the same of the impostor pairs. Where no pair is out
    of order the variance is 0 and says nothing; the exact interval of the rarer kind stands in.
    """
    total = squares = squares_impostors = 0.0
    many, few = float(ordered.impostors), float(ordered.genuine)
    for genuine, impostors in ordered.running_counts():
        here, others = np.diff(genuine), np.diff(impostors)  # of each score
        below = impostors[1:] + impostors[:-1]  # twice the impostor pairs below it, ties counted half
        above = genuine[1:] + genuine[:-1]
        above -= 2 * few  # twice the genuine pairs above it, negative
        total += float(here @ below) / 2
        below *= below
        above *= above
        squares += float(here @ below) / 4
        squares_impostors += float(others @ above) / 4
    auc = total / (many * few)
    variance = _variance(squares / many**2, auc, few) + _variance(squares_impostors / few**2, auc, many)
    return _with_interval(auc, variance, ordered)


def _variance(sum_of_squares: float, mean: float, count: float) -> float:
    """Return the variance of a mean from the sum of squares of its `count` values."""
    if count < 2:
        return math.nan
    return max(0.0, sum_of_squares - count * mean**2) / (count - 1) / count


def _with_interval(auc: float, variance: float, ordered: SortedScores) -> Estimate:
    from scipy.special import ndtri

    if math.isnan(variance):
        return Estimate(auc, 0.0, 1.0)
    if auc in (0.0, 1.0):
        rarer = min(ordered.genuine, ordered.impostors)
        return Estimate(auc, *share(round(auc * rarer), rarer)[1:])
    reach = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Estimate(auc, max(0.0, auc - reach), min(1.0, auc + reach))


def d_prime(scores: np.ndarray, same: np.ndarray) -> float:
    """Return d' = |m1 - m0| / sqrt((s1^2 + s0^2) / 2): how many spreads lie between the two kinds.

    Means and variances of genuine and impostor scores [n], in float64. Without any spread it is
    infinite, or 0 where the means are equal too.
    """
    shift = float(scores[: min(len(scores), BLOCK)].mean(dtype=np.float64))  # keeps the squares small
    sums = np.zeros((2, 2))  # all, genuine x sum, sum of squares
    for part in blocks(len(scores)):
        values = scores[part].astype(np.float64)
        values -= shift
        marked = values * same[part]
        sums += ((values.sum(), values @ values), (marked.sum(), marked @ marked))
    genuine = int(np.count_nonzero(same))
    counts = np.array([len(scores) - genuine, genuine], np.float64)
    sums[0] -= sums[1]
    means = sums[:, 0] / counts
    spread = math.sqrt(max(0.0, float((sums[:, 1] / counts - means**2).mean())))
    gap = abs(float(means[1] - means[0]))
    if spread:
        return gap / spread
    return math.inf if gap else 0.0


def false_accepts_allowed(far: float, impostors: int) -> int:
    """Return the most impostor pairs k with k / impostors <= far."""
    # One more, then down: the product is rounded (0.29 * 100 lies below 29), and the quotient decides.
    allowed = min(impostors, int(far * impostors) + 1)
    while allowed / impostors > far:
        allowed -= 1
    return allowed


def tar_at_far(ordered: SortedScores, far: float) -> TarAtFar:
    """Return the highest TAR with FAR <= `far`, its threshold and the intervals of both.

    Without at least one impostor pair to accept, or without genuine pairs, there is no value and the
    message says so. Raises `DataError` for a rate outside of 0 to 1.
    """
    if not 0 < far < 1:
        raise DataError(f"false accept rate {far}", expected="a rate between 0 and 1")
    if far * ordered.impostors < 1 - 1e-9:  # a product that is rounded may lie a hair below 1
        need = math.ceil(1 / far - 1e-6)
        return TarAtFar(
            far, None, message=f"FAR {far:g} needs {need:,} impostor pairs, there are {ordered.impostors:,}"
        )
    if not ordered.genuine:
        return TarAtFar(far, None, message="TAR needs genuine pairs, there are none")
    allowed = false_accepts_allowed(far, ordered.impostors)
    cut = ordered.cut_rejecting(ordered.impostors - allowed)
    accepted = ordered.genuine_from(cut)
    half = (1 + CONFIDENCE) / 2  # two intervals, each with half of the error, hold together at `CONFIDENCE`
    fewest, most = accepts_at(far, ordered.impostors, half)
    lowest = ordered.cut_rejecting(ordered.impostors - most)
    high = share(ordered.genuine_from(lowest), ordered.genuine, half).high
    low, highest = 0.0, None
    if fewest:
        highest = ordered.cut_rejecting(ordered.impostors - fewest + 1)
        low = share(ordered.genuine_from(highest), ordered.genuine, half).low
    return TarAtFar(
        far,
        Estimate(accepted / ordered.genuine, low, high),
        ordered.score(cut),
        ordered.score(lowest) if most < ordered.impostors else None,
        None if highest is None else ordered.score(highest),
        ordered.impostors - ordered.impostors_below(cut),
    )


def tars_at_fars(ordered: SortedScores, fars: Sequence[float] = FARS) -> tuple[TarAtFar, ...]:
    """Return `tar_at_far` for every rate."""
    return tuple(tar_at_far(ordered, far) for far in fars)


def roc_at(
    ordered: SortedScores, points: int = 400, lowest: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return exact (FAR, TAR) at `points` rates evenly spaced in the logarithm of FAR, for a figure.

    Every threshold would be a point a distinct score, millions of them. The first rate is `lowest`, which curves
    that are averaged have in common; None: that of one impostor pair.
    """
    least = lowest or 1 / ordered.impostors
    rates = np.unique(np.geomspace(least, 1, points).clip(least, 1))
    allowed = [false_accepts_allowed(float(rate), ordered.impostors) for rate in rates]
    cuts = [ordered.cut_rejecting(ordered.impostors - accepts) for accepts in allowed]
    return rates, np.array([ordered.genuine_from(cut) for cut in cuts]) / ordered.genuine
