"""Mean and interval of a few repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half width of its 95 % interval, t(n - 1) s / sqrt(n); NaN below two values.

    Non-finite values make both NaN: a run that diverged must not vanish in a mean.
    """
    count = len(values)
    mean = sum(values) / count if count else math.nan
    if count < 2 or not math.isfinite(mean):
        return mean, math.nan
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return mean, t_point(count - 1) * deviation / math.sqrt(count)


def t_point(freedom: int) -> float:
    """Return the 97.5 % point of Student's t."""
    from scipy.special import stdtrit  # a tenth of the time that scipy.stats takes: tables must start quickly

    return float(stdtrit(freedom, 0.975))
