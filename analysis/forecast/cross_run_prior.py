"""Other runs as prior: how curves that looked like this one ended, against what was forecast for them.

Each other run is forecast from the same point as the run in question, and its miss is kept: the log of
truth over forecast at some points of the rest. The misses of runs that looked alike then (level,
progress, noise, and how far the forecast goes) correct this run's forecast by a weighted median, held
back by a weight of its own on "no correction". How alike is alike, and how strong that weight, is
weighed by how well the other runs forecast one another; nothing of the run in question enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.forecast.curve import LOSS, Curve, Prepared, Refused, prepare
from analysis.forecast.ensemble import Ensemble, fit_ensemble
from analysis.forecast.lr_effects import relative
from analysis.forecast.settings import DEFAULT, Settings

Array = np.ndarray
KNOTS = np.array([0.1, 0.25, 0.45, 0.7, 1.0])  # of the way from the last epoch seen to the one asked for
SOFT = 0.02  # of the present level, added to truth and forecast before taking logs: both may be zero


@dataclass(frozen=True)
class Neighbor:
    """One other run, forecast from the same point: what it looked like and by how much that missed.

    `misses` (knots,) are logs of truth over forecast; the rest are above the floor, in the metric's units.
    """

    features: Array
    misses: Array
    middle: float
    truth: float
    last: float
    deviation: float
    soft: float


@dataclass(frozen=True)
class Correction:
    """What the other runs say: `correction` (logs, at `KNOTS`), standardised misses and their weights.

    `ratio` is their error after correction over that of their last values, `count` their number.
    """

    correction: Array
    misses: Array
    weights: Array
    soft: float
    ratio: float
    count: int


class CrossRunPrior:
    """A set of other runs; forecasts of its members are made once for each point and kept."""

    def __init__(self, curves: Sequence[Curve], settings: Settings = DEFAULT) -> None:
        self.curves = sorted(curves, key=lambda curve: (curve.run, curve.name, tuple(curve.values)))
        self.settings = settings
        self._kept: dict[tuple[int, int, int], Neighbor | None] = {}

    def correction_of(self, curve: Curve, prepared: Prepared, ensemble: Ensemble) -> Correction | None:
        """Return what the others say of `curve`, or None when fewer than two of them can say anything."""
        if prepared.kind == LOSS and prepared.floor != 0:
            return None
        length = prepared.start + prepared.length - curve.first
        neighbors = []
        for index, other in enumerate(self.curves):
            if other.metric != curve.metric or _same(curve, other):
                continue
            neighbor = self._neighbor(index, *match(curve, other, length))
            if neighbor is not None:
                neighbors.append(neighbor)
        if len(neighbors) < 2:
            return None
        return correct(neighbors, features(prepared, ensemble), self.settings)

    def _neighbor(self, index: int, seen: int, length: int) -> Neighbor | None:
        key = (index, seen, length)
        if key not in self._kept:
            self._kept[key] = _forecast_of(self.curves[index], seen, length, self.settings) if seen else None
        return self._kept[key]


def _same(curve: Curve, other: Curve) -> bool:
    """Tell whether `other` is the run of `curve`: by name, and among nameless ones by its first values."""
    if curve.run or other.run:
        return curve.run == other.run
    return list(other.values[: len(curve.values)]) == list(curve.values)


def match(curve: Curve, other: Curve, length: int) -> tuple[int, int]:
    """Return how many epochs of `other` to show and to forecast, (0, 0) when it is of no use.

    The same epochs, or the same parts of the run when `other` has finished with another length; where
    both are possible, the one whose learning rates are more alike.
    """
    seen, available = curve.last - curve.first + 1, other.last - other.first + 1
    same, parts = (seen, length), (round(seen * available / length), available)
    if available >= length:
        if not other.finished or available == length or not (len(curve.rates) and len(other.rates)):
            return same
        return min((same, parts), key=lambda to: _unlike(curve.rates[:length], other.rates[: to[1]]))
    return parts if other.finished else (0, 0)


def _unlike(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the mean difference of two schedules' relative rates, both stretched to one length."""
    place = np.linspace(0, 1, 41)
    lines = [
        np.interp(place, np.linspace(0, 1, len(r)), relative(np.asarray(r, float))) for r in (mine, theirs)
    ]
    return float(np.mean(np.abs(np.log(lines[0] + 1e-4) - np.log(lines[1] + 1e-4))))


def features(prepared: Prepared, ensemble: Ensemble) -> Array:
    """Return what a seen part looks like, in logs: level, progress so far, noise, progress expected."""
    y = prepared.y
    level = max(float(np.median(y[-5:])), 1e-9)
    half = len(y) // 2
    before = max(float(np.median(y[max(0, half - 2) : half + 1])), 1e-9)
    ahead = max(float(ensemble.middle[-1]), 1e-9)
    logs = np.log(
        [level * prepared.scale, before / level, (ensemble.noise + 0.03 * level) / level, level / ahead]
    )
    return np.append(logs, _to_come(prepared))


def _to_come(prepared: Prepared) -> float:
    """Return how much of the peak learning rate is still to be taken away, 0 for a constant rate."""
    if prepared.rates is None:
        return 0.0
    share = relative(prepared.rates)
    return float(share[len(prepared.y) - 1] - share[-1])


def _forecast_of(other: Curve, seen: int, length: int, settings: Settings) -> Neighbor | None:
    """Return `other` as forecast from its first `seen` epochs; None where that, or the truth, is missing."""
    now, end = other.first + seen - 1, other.first + length - 1
    numbers = list(other.epochs) or list(range(1, len(other.values) + 1))
    truth = dict(zip(numbers, other.values, strict=True))
    try:
        prepared = prepare(other.until(now), end, settings)
    except Refused:
        return None
    wanted = now + np.ceil(KNOTS * (end - now)).astype(int)
    found = np.array([truth.get(int(epoch), np.nan) for epoch in wanted], dtype=float)
    if prepared.floor != 0 or prepared.start + prepared.length - 1 != end or not np.isfinite(found).all():
        return None
    ensemble = fit_ensemble(prepared, settings)
    scale, y = prepared.scale, prepared.y
    actual = np.array([prepared.above(value) for value in found])
    middle = ensemble.middle[wanted - prepared.start]
    soft = SOFT * max(float(np.median(y[-5:])), 1e-9)
    misses = np.log((actual.clip(0) + soft) / (middle + soft))
    amounts = [middle[-1], actual[-1], y[-1], ensemble.deviation[-1], soft]
    return Neighbor(features(prepared, ensemble), misses, *(float(amount) * scale for amount in amounts))


def correct(neighbors: Sequence[Neighbor], mine: Array, settings: Settings) -> Correction:
    """Weigh how the `neighbors` would have forecast one another, and return what that means for `mine`."""
    points = np.array([neighbor.features for neighbor in neighbors])
    misses = np.array([neighbor.misses for neighbor in neighbors])
    middle, truth, last, deviation, soft = np.array(
        [(p.middle, p.truth, p.last, p.deviation, p.soft) for p in neighbors]
    ).T
    apart = ((points[:, None] - points[None]) ** 2).sum(-1)
    mine_apart = ((points - mine) ** 2).sum(-1)
    corrections, ours, kernels = (
        [np.zeros(len(neighbors))],
        [np.zeros(len(KNOTS))],
        [np.full(len(neighbors), 0.3)],
    )
    for width in settings.bandwidths:
        near = np.exp(-apart / (2 * width**2))
        np.fill_diagonal(near, 0.0)
        mine_near = np.exp(-mine_apart / (2 * width**2))
        for prior_weight in settings.doubts:
            corrections.append(_medians(misses[:, -1], near, prior_weight))
            ours.append(np.array([_medians(column, mine_near[None], prior_weight)[0] for column in misses.T]))
            kernels.append(mine_near)
    moved = (middle + soft) * np.exp(np.array(corrections)) - soft
    trust = _trust(np.abs(moved - truth).sum(1), len(neighbors), settings)
    error = np.abs(trust @ moved - truth)
    near = trust @ np.array(kernels)
    ratio = float(near @ error / max(near @ np.abs(last - truth), 1e-300))
    return Correction(
        trust @ np.array(ours), error / deviation.clip(1e-12), near, SOFT, ratio, len(neighbors)
    )


def _trust(total: Array, count: int, settings: Settings) -> Array:
    """Return the weights of the ways to correct; the first, no correction, starts with half of all."""
    none = settings.caution / (settings.caution + count)
    prior = np.full(len(total), (1 - none) / (len(total) - 1))
    prior[0] = none
    log = -settings.trust * count * np.log(np.maximum(total, 1e-300) / max(total.min(), 1e-300))
    weights = prior * np.exp(np.maximum(log, -700))
    return weights / weights.sum()


def _medians(values: Array, weights: Array, prior_weight: float) -> Array:
    """Return the median of `values` (n,) under each row of `weights` (m, n), 0 having the weight `prior_weight`."""
    every = np.append(values, 0.0)
    order = np.argsort(every, kind="stable")
    ranked = every[order]
    share = np.concatenate([weights, np.full((len(weights), 1), prior_weight)], axis=1)[:, order]
    middle = np.cumsum(share, axis=1) - share / 2
    half = share.sum(1) / 2
    above = np.minimum((middle < half[:, None]).sum(1), len(every) - 1)
    below = np.maximum(above - 1, 0)
    rows = np.arange(len(weights))
    gap = middle[rows, above] - middle[rows, below]
    part = np.where(gap > 0, (half - middle[rows, below]) / np.where(gap > 0, gap, 1.0), 1.0).clip(0, 1)
    return ranked[below] + part * (ranked[above] - ranked[below])
