"""Rolling-origin back-tests on the seen part, and the weights and forecasts that follow from them."""

from __future__ import annotations

import numpy as np

from analysis.forecast.settings import Settings

Array = np.ndarray


def origins(n: int, settings: Settings) -> Array:
    """Return the lengths of the prefixes to forecast from: the back-tests', growing, and `n` itself."""
    found = {max(settings.fewest, round(n * share)) for share in settings.origins}
    return np.array([*sorted(k for k in found if k < n), n])


def errors(forecasts: Array, y: Array, seen: Array, starts: Array) -> tuple[Array, float]:
    """Return each rival's mean absolute back-test error and the weight of evidence in epochs.

    `forecasts` is (rivals, origins, T), the last origin being now; `seen` (n,) is 0 where a value is
    missing. Errors far from their origin count more, in proportion to horizon / origin, and an
    origin with many epochs after it counts with the root of their number, for they err together.
    """
    n = len(y)
    total, evidence = np.zeros(len(forecasts)), 0.0
    for k, origin in enumerate(starts[:-1]):
        ahead = np.arange(1, n - origin + 1)
        weight = seen[origin:] * (ahead / origin) / np.sqrt(len(ahead))
        total += np.abs(forecasts[:, k, origin:n] - y[origin:]) @ weight
        evidence += float(weight.sum())
    return total / max(evidence, 1e-12), evidence


def weigh(prior: Array, error: Array, evidence: float, settings: Settings) -> Array:
    """Return the rivals' weights, adding up to 1: prior times (shrunk back-test error)^-power."""
    middle = float(np.median(error)) or 1.0
    shrunk = (error / middle * evidence + settings.backtest_prior) / (evidence + settings.backtest_prior)
    weights = prior * shrunk**-settings.power
    return weights / weights.sum()


def quantiles(values: Array, weights: Array, levels: tuple[float, ...]) -> Array:
    """Return weighted quantiles over the first axis of `values` (rivals, ...): (levels, ...).

    A value stands in the middle of its weight; between values the quantile is interpolated linearly.
    """
    flat = values.reshape(len(values), -1)
    order = np.argsort(flat, axis=0, kind="stable")
    ranked = np.take_along_axis(flat, order, 0)
    share = weights[order]
    middle = np.cumsum(share, axis=0) - share / 2
    columns = np.arange(flat.shape[1])
    found = np.empty((len(levels), flat.shape[1]))
    for k, level in enumerate(levels):
        above = np.minimum((middle < level).sum(0), len(values) - 1)
        below = np.maximum(above - 1, 0)
        gap = middle[above, columns] - middle[below, columns]
        part = np.where(gap > 0, (level - middle[below, columns]) / np.where(gap > 0, gap, 1), 1.0)
        low, high = ranked[below, columns], ranked[above, columns]
        found[k] = low + np.clip(part, 0, 1) * (high - low)
    return found.reshape(len(levels), *values.shape[1:])
