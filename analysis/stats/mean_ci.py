"""Mean and interval of a few repeats, without a statistics library: tables must start quickly."""

from __future__ import annotations

import math
from collections.abc import Sequence

# two-sided 95 % points of Student's t for 1, 2, ... degrees of freedom; beyond the list Cornish-Fisher
T_POINTS = (
    12.706205,
    4.302653,
    3.182446,
    2.776445,
    2.570582,
    2.446912,
    2.364624,
    2.306004,
    2.262157,
    2.228139,
)
NORMAL_POINT = 1.959964


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
    """Return the 97.5 % point of Student's t (Abramowitz and Stegun 26.7.5 beyond ten degrees)."""
    if freedom <= len(T_POINTS):
        return T_POINTS[freedom - 1]
    z = NORMAL_POINT
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / freedom + second / freedom**2 + third / freedom**3 + fourth / freedom**4
