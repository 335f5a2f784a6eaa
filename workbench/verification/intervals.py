"""Intervals for shares and for thresholds that were themselves read off a sample.

Pairs that share images are not independent; these intervals treat them as if they were, and are then
too narrow. Where identities are known, a bootstrap over identities is the honest one.
"""

from __future__ import annotations

from typing import NamedTuple

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A measured value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def share(successes: int, count: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return successes / count with its exact interval (Clopper and Pearson 1934).

    The ends are the shares under which the tail at the observed count has probability
    (1 - confidence) / 2: quantiles of Beta(x, n - x + 1) and Beta(x + 1, n - x).
    """
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, count - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, count - successes, 1 - tail)) if successes < count else 1.0
    return Estimate(successes / count, low, high)


def accepts_at(far: float, impostors: int, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Return between which counts of accepted impostors the threshold of a true rate `far` lies.

    Of n independent impostor scores, Binomial(n, far) exceed the threshold whose true false accept
    rate is `far`; the counts are that distribution's central interval.
    """
    from scipy.stats import binom

    low, high = binom.interval(confidence, impostors, far)
    return int(low), int(high)
