"""The baselines, which fit no curve: what a forecast has to beat before anybody should believe it.

Each takes the seen part above its floor and returns its forecasts from all origins at all epochs.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

# its share of the weight of this group before any back-test
BASELINES: dict[str, float] = {
    "last value": 1.0,
    "last slope": 0.1,
    "median of 3": 1.0,
    "best 3 of 5": 0.7,
    "damped trend": 0.3,
}
# Half of a trend is gone after four epochs, as in damped exponential smoothing (Gardner and McKenzie 1985).
DAMPING = 0.85  # of the trend, per epoch
LAST = "last value"


def slope(values: Array) -> float:
    """Return the least-squares slope of `values` per epoch; 0 for a single value."""
    t = np.arange(len(values)) - (len(values) - 1) / 2
    return float(t @ values / (t @ t)) if len(values) > 1 else 0.0


def baselines(y: Array, origins: Array, length: int) -> Array:
    """Return forecasts (baselines, origins, length) in the order of `BASELINES`; `y` is (n,)."""
    found = np.empty((len(BASELINES), len(origins), length))
    for k, origin in enumerate(origins):
        seen, recent = y[:origin], y[max(0, origin - 5) : origin]
        ahead = np.maximum(np.arange(1, length + 1) - origin, 0)
        trend = slope(y[max(0, origin - max(3, origin // 4)) : origin])
        damped = DAMPING * (1 - DAMPING**ahead) / (1 - DAMPING)
        found[0, k] = seen[-1]
        found[1, k] = seen[-1] + trend * ahead
        found[2, k] = np.median(seen[-3:])
        found[3, k] = np.sort(recent)[:3].mean()
        found[4, k] = np.median(recent) + trend * (2 + damped)
    return found
