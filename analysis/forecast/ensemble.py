"""What one curve by itself says about its future: the pool of forecasts, their weights, their spread.

This is the forecaster without other runs. Everything is in the units of `Prepared.y`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.forecast import fit
from analysis.forecast.baselines import BASELINES, baselines
from analysis.forecast.curve import LOSS, Prepared
from analysis.forecast.families import bank
from analysis.forecast.lr_effects import annealing, axis, relative
from analysis.forecast.settings import Settings
from analysis.stats import noise

Array = np.ndarray
BY_RATE = " by rate"  # marks a family fitted over summed learning rates
PLAIN_LAST = "last value as it is"  # without any gain from annealing
PLAIN_SHARE = 0.7
NORMAL_80 = 2.563  # the 80 percent interval of a normal distribution, in standard deviations


@dataclass(frozen=True)
class Ensemble:
    """Forecasts `pool` (members, origins, length), the last origin being now; `middle`, `deviation` (length,).

    `past` holds the back-tests of the combined forecast as rows (origin, epoch index, forecast, value,
    deviation); `skill` is its mean error over that of the last value, `evidence` the epochs it rests on.
    """

    names: tuple[str, ...]
    pool: Array
    weights: Array
    starts: Array
    middle: Array
    deviation: Array
    past: Array
    skill: float
    evidence: float


def fit_ensemble(prepared: Prepared, settings: Settings) -> Ensemble:
    """Fit, back-test and combine; see the module for the units."""
    y, seen, length, n = prepared.y, prepared.seen, prepared.length, len(prepared.y)
    starts = origins(n, settings)
    weights = _weights(prepared, starts, settings)
    names, prior, shapes, sizes = _banks(prepared)
    # The gain is given back before fitting and taken away again after it: shapes fall
    # smoothly, and a fall of the rate is not part of them.
    gain, gain_std, annealed = _gain(prepared, weights[:, -1], shapes, settings)
    raised = y + gain * annealed[:n]
    fitted = fit.families(shapes, sizes, raised, weights, settings.outlier)
    plain = baselines(raised, starts, length)
    pool = np.maximum(np.concatenate([fitted, plain]) - gain * annealed, 0.0)
    as_it_is = np.repeat(y[starts - 1][None, :, None], length, axis=2)
    # Once more the last value, without any gain: where annealing brings nothing, this one is right.
    pool = np.concatenate([pool, as_it_is])
    prior = _prior(prior, n / length, settings)
    error, evidence = errors(pool, y, seen, starts)
    share = weigh(prior, error, evidence, settings)
    past = _past(pool, share, y, seen, starts, settings)
    low, middle, high = quantiles(pool[:, -1], share, (0.1, 0.5, 0.9))
    change = gain_std * (annealed - annealed[n - 1])
    model_error = _model_error(y, np.maximum(np.arange(1, length + 1) - n, 0), settings)
    # Four independent sources of error, added as variances.
    deviation = np.sqrt(noise.trimmed(y) ** 2 + ((high - low) / NORMAL_80) ** 2 + change**2 + model_error**2)
    skill = _skill(past, y)
    every = (*names, *BASELINES, PLAIN_LAST)
    return Ensemble(every, pool, share, starts, middle, deviation, past, skill, evidence)


def _weights(prepared: Prepared, starts: Array, settings: Settings) -> Array:
    """Return the weights of the epochs (n,) for each origin: recent ones more, those before a border less."""
    n = len(prepared.y)
    number = np.arange(1, n + 1)[:, None]
    weights = np.where(number <= starts, (number / starts) ** settings.recency, 0.0)
    for border in prepared.borders:
        # Only for origins behind the border: a back-test before it must not know that it comes.
        weights[:border, starts > border] *= settings.border_weight
    return weights * prepared.seen[:, None]


def _banks(prepared: Prepared) -> tuple[tuple[str, ...], Array, Array, Array]:
    """Return names, prior weights, shapes and sizes: over epochs, and over summed rates if they vary."""
    plain = bank(np.arange(1.0, prepared.length + 1))
    if prepared.rates is None:
        return plain.names, plain.weights, plain.shapes, plain.sizes
    driven = bank(axis(prepared.rates))
    return (
        (*plain.names, *(name + BY_RATE for name in driven.names)),
        np.concatenate([plain.weights, driven.weights]),
        np.vstack([plain.shapes, driven.shapes]),
        np.concatenate([plain.sizes, driven.sizes]),
    )


def _gain(
    prepared: Prepared, weights: Array, shapes: Array, settings: Settings
) -> tuple[float, float, Array]:
    """Return the gain of a full anneal, its uncertainty, and how far each epoch is annealed (length,)."""
    if prepared.rates is None:
        return 0.0, 0.0, np.zeros(prepared.length)
    gain, gain_std = annealing(prepared.y, weights, prepared.rates, shapes, prepared.kind == LOSS, settings)
    return gain, gain_std, 1 - relative(prepared.rates)


def _prior(fitted: Array, part: float, settings: Settings) -> Array:
    """Return all members' weights before back-tests; `part` is the share of the run that has been seen."""
    plain = np.array([*BASELINES.values(), PLAIN_SHARE])
    level = settings.level_share * part
    return np.concatenate([(1 - level) * fitted / fitted.sum(), level * plain / plain.sum()])


def _model_error(y: Array, ahead: Array, settings: Settings) -> Array:
    """Return the deviation that no fit and no noise accounts for, `ahead` epochs after the end of `y`."""
    return settings.drift * float(np.median(y[-5:])) * np.sqrt(ahead / len(y))


def _past(pool: Array, share: Array, y: Array, seen: Array, starts: Array, settings: Settings) -> Array:
    """Return the back-tests of the combined forecast, one row an origin and epoch (`Ensemble.past`)."""
    n, rows = len(y), []
    low, middle, high = quantiles(pool[:, :-1, :n], share, (0.1, 0.5, 0.9))
    for k, origin in enumerate(starts[:-1]):
        index = np.flatnonzero(seen[origin:]) + origin
        spread = (high - low)[k, index] / NORMAL_80
        model_error = _model_error(y[:origin], index + 1 - origin, settings)
        deviation = np.sqrt(noise.trimmed(y[:origin]) ** 2 + spread**2 + model_error**2)
        rows.append(
            np.stack([np.full(len(index), origin), index, middle[k, index], y[index], deviation], axis=1)
        )
    return np.concatenate(rows) if rows else np.empty((0, 5))


def _skill(past: Array, y: Array) -> float:
    """Return the combined forecast's mean absolute back-test error over that of the last value."""
    if not len(past):
        return 1.0
    origin, index, forecast, value = past[:, :4].T
    weight = (index + 1 - origin) / origin
    ours = float(weight @ np.abs(forecast - value))
    last = float(weight @ np.abs(y[origin.astype(int) - 1] - value))
    return ours / last if last > 0 else 1.0


def origins(n: int, settings: Settings) -> Array:
    """Return the lengths of the prefixes to forecast from: the back-tests', growing, and `n` itself."""
    # A set: in short curves several shares are the same epoch, and it must not count twice.
    found = {max(settings.fewest, round(n * share)) for share in settings.origins}
    return np.array([*sorted(k for k in found if k < n), n])


def errors(forecasts: Array, y: Array, seen: Array, starts: Array) -> tuple[Array, float]:
    """Return each member's mean absolute back-test error and the weight of evidence in epochs.

    `forecasts` is (members, origins, T), the last origin being now; `seen` (n,) is 0 where a value is
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
    """Return the members' weights, adding up to 1: prior times (shrunk back-test error)^-power."""
    middle = float(np.median(error)) or 1.0
    shrunk = (error / middle * evidence + settings.backtest_prior) / (evidence + settings.backtest_prior)
    # Shrunk towards "all equal" by the evidence there is: two back-tests must not decide.
    weights = prior * shrunk**-settings.power
    return weights / weights.sum()


def quantiles(values: Array, weights: Array, levels: tuple[float, ...]) -> Array:
    """Return weighted quantiles over the first axis of `values` (members, ...): (levels, ...).

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
