"""How wide: the distribution of a forecast's error, from the misses of back-tests and of other runs.

A miss over the deviation that was claimed for it is a standardised miss. Three sources are pooled by
weight: a default (Student's t), the run's own back-tests, and the other runs. Their quantiles,
times the deviation claimed now, are the interval. Own back-tests count less where they reached less
far, for the default knows long horizons and they do not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from analysis.forecast.cross_run_prior import Correction
from analysis.forecast.settings import Settings

Array = np.ndarray
LEVELS = np.linspace(0.0, 0.99, 100)  # of the absolute standardised miss
POINTS = 39  # that stand for the default distribution


@lru_cache(maxsize=16)
def _default(width: float, freedom: float) -> Array:
    from scipy.special import stdtrit

    levels = (np.arange(POINTS) + 0.5) / POINTS
    return width * stdtrit(freedom, 0.5 + levels / 2)


def standard(past: Array, reach: float, advice: Correction | None, settings: Settings) -> Array:
    """Return the quantiles at `LEVELS` of the absolute standardised miss.

    `past` are the own back-tests (`Ensemble.past`), `reach` is the horizon over the number of epochs seen.
    """
    sizes = [_default(settings.width, settings.freedom)]
    weights = [np.full(POINTS, settings.width_prior / POINTS)]
    if len(past):
        origin, index, forecast, value, deviation = past.T
        _, which, count = np.unique(origin, return_inverse=True, return_counts=True)
        far = np.minimum(1.0, (index + 1 - origin) / origin / reach)
        sizes.append(np.abs(forecast - value) / np.maximum(deviation, 1e-9))
        weights.append(far / np.sqrt(count[which]))
    if advice is not None:
        sizes.append(advice.misses)
        weights.append(advice.weights)
    size, weight = np.minimum(np.concatenate(sizes), settings.most), np.concatenate(weights)
    order = np.argsort(size, kind="stable")
    middle = np.cumsum(weight[order]) - weight[order] / 2
    found = np.interp(LEVELS, middle / weight.sum(), size[order])
    found[0] = 0.0
    return np.maximum.accumulate(found)


def quantile(level: float, quantiles: Array) -> float:
    """Return the standardised error at `level` (0 to 1) of a symmetric distribution."""
    return float(np.copysign(np.interp(abs(2 * level - 1), LEVELS, quantiles), level - 0.5))


def probability_below(z: Array, quantiles: Array) -> Array:
    """Return the probability that the standardised error is below `z`, between 0.005 and 0.995."""
    steps = quantiles + 1e-12 * np.arange(len(quantiles))
    return 0.5 + np.sign(z) * np.interp(np.abs(z), steps, LEVELS) / 2
