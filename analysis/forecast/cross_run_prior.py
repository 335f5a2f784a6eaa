"""Other runs as prior: how curves of the same study ended, against what the population said of them.

Each other run is forecast from the same point as the run in question, and where its truth fell among the quantiles
that the population gave it becomes a normal score. Scores of runs of one study are alike, the more so for runs that
looked alike. A Gaussian process says how much: a constant shared by all runs, a part shared by similar ones, and a
part of each run's own. How large these parts are is not known, so many answers stand side by side, weighed
by how well each explains the scores. Before any run they add up to the population's own spread, so one or two runs
move the forecast a little and many, if they agree, make it theirs. Nothing of the run in question enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.forecast.curve import Curve, Prepared, Refused, prepare
from analysis.forecast.distribution import LEVELS, score
from analysis.forecast.ensemble import fit_ensemble
from analysis.forecast.features import Features, features
from analysis.forecast.lr_effects import relative
from analysis.forecast.population import Population, population
from analysis.forecast.settings import DEFAULT, Settings

Array = np.ndarray
KNOTS = np.array([0.1, 0.3, 0.6, 1.0])  # of the way from the last epoch seen to the one asked for
MOST = 36  # other runs that are forecast: the ones whose seen part is nearest
FREEDOM = 5.0  # degrees of freedom of the scores before any run: studies differ more than a normal law allows
GRID_POINTS = np.linspace(-8, 8, 241)  # normal scores at which a mixture is summed up

# variance of the scores, and the shares of it: common to all runs, in proportion to where the fits and the last value
# lie, common to similar runs, a run's own
SPREADS = (0.25, 1.0, 2.0)
SHARES = (
    (0.0, 0.0, 0.0, 1.0),
    (0.5, 0.0, 0.0, 0.5),
    (0.8, 0.0, 0.0, 0.2),
    (0.95, 0.0, 0.0, 0.05),
    (0.3, 0.0, 0.4, 0.3),
    (0.6, 0.0, 0.35, 0.05),
    (0.2, 0.5, 0.0, 0.3),
    (0.15, 0.75, 0.0, 0.1),
    (0.15, 0.8, 0.0, 0.05),
    (0.2, 0.4, 0.3, 0.1),
    (0.1, 0.6, 0.27, 0.03),
)
NEAR = (0.3, 1.0)  # distance, in features, within which runs are similar
GUESS = 2.5  # normal scores: a guess further out counts as this far
# However well the others agree, this run may be of another kind: DOUBT / (runs + DOUBT_RUNS).
DOUBT, DOUBT_RUNS = (0.5, 5.0)
# Parts of the way between which the spread grows by this much, and stays so.
LATE, LATE_WIDER = ((0.6, 0.75), 1.1)
UNUSUAL = 1.0  # natural logs by which another spread than 1 is less likely before any run


@dataclass(frozen=True)
class Neighbor:
    """One other run, forecast from the same point: what it looked like, and its normal scores at `KNOTS`.

    `guesses` are the scores of what the fits said of its end, and of its last value.
    """

    run: str
    alike: Array
    guesses: Array
    scores: Array


@dataclass(frozen=True)
class Correction:
    """What the other runs make of the population's quantiles.

    `scores` (levels, knots) are the population's normal scores at which this run's quantiles lie, `inner` (2, knots)
    those of the band in which the forecast lies; `runs` are the names of the runs used.
    """

    scores: Array
    inner: Array
    runs: tuple[str, ...]


class CrossRunPrior:
    """A set of other runs; forecasts of its members are made once for each point and kept (in `kept`, if given)."""

    def __init__(
        self,
        curves: Sequence[Curve],
        settings: Settings = DEFAULT,
        known: Population | None = None,
        kept: dict[tuple[Curve, int, int], Neighbor | None] | None = None,
    ) -> None:
        # Sorted: sums of floating-point numbers depend on their order, and the
        # store's order must not move a forecast.
        self.curves = sorted(curves, key=lambda curve: (curve.run, curve.name, tuple(curve.values)))
        self.settings = settings
        self.population = known or population()
        self._kept = {} if kept is None else kept

    def correction_of(
        self, curve: Curve, prepared: Prepared, inputs: Features, ends: Array
    ) -> Correction | None:
        """Return what the others say of `curve`, or None when none of them can say anything.

        `ends` (levels, epochs) is what the population says of it.
        """
        length = prepared.to - curve.first + 1
        found = []
        for index in self._nearest(curve):
            # Forecast from the same point as the run in question: scores of other points have another spread.
            neighbor = self._neighbor(index, *match(curve, self.curves[index], length))
            if neighbor is not None:
                found.append(neighbor)
        if not found:
            return None
        wider = float(np.interp(len(prepared.y) / prepared.length, LATE, (1.0, LATE_WIDER)))
        return correct(found, inputs.alike, guesses(inputs, ends), self.settings, wider)

    def _nearest(self, curve: Curve) -> list[int]:
        """Return the indices of the other runs of this metric, at most `MOST`: those nearest at this point."""
        usable = [
            index
            for index, other in enumerate(self.curves)
            if other.metric == curve.metric and not _same(curve, other) and same_data(curve, other)
        ]
        if len(usable) <= MOST:
            return usable
        mine = _outline(curve, len(curve.values))
        apart = [np.abs(_outline(self.curves[i], len(curve.values)) - mine).sum() for i in usable]
        return sorted(usable[k] for k in np.argsort(apart, kind="stable")[:MOST])

    def _neighbor(self, index: int, seen: int, length: int) -> Neighbor | None:
        other = self.curves[index]
        key = (other, seen, length)
        if key not in self._kept:
            made = _forecast_of(other, seen, length, self.settings, self.population) if seen else None
            self._kept[key] = made
        return self._kept[key]


def _outline(curve: Curve, seen: int) -> Array:
    """Return the values of a curve at half of `seen` epochs and at all of them: enough to tell who is near."""
    values = np.nan_to_num(np.asarray(curve.values[:seen], dtype=float), posinf=0.0, neginf=0.0)
    return np.array([np.median(values[len(values) // 2 :][:3]), np.median(values[-3:])])


def _same(curve: Curve, other: Curve) -> bool:
    """Tell whether `other` is the run of `curve`: by name, and among nameless ones by its first values."""
    # A run's own curve must never forecast itself: with a name that is certain, without one its values tell.
    if curve.run or other.run:
        return curve.run == other.run
    return list(other.values[: len(curve.values)]) == list(curve.values)


def same_data(curve: Curve, other: Curve) -> bool:
    """Tell whether both were trained on the same data, as far as that is known."""
    return not curve.data or not other.data or curve.data == other.data


def match(curve: Curve, other: Curve, length: int) -> tuple[int, int]:
    """Return how many epochs of `other` to show and to forecast, (0, 0) when it is of no use.

    The same epochs, or the same parts of the run when `other` has finished with another length; where
    both are possible, the one whose learning rates are more alike.
    """
    seen, available = curve.last - curve.first + 1, other.last - other.first + 1
    same, parts = (seen, length), (round(seen * available / length), available)
    if available >= length:
        # An unfinished run's end is not its planned end, so its parts of the run mean nothing.
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


def _forecast_of(
    other: Curve, seen: int, length: int, settings: Settings, known: Population
) -> Neighbor | None:
    """Return `other` as forecast from its first `seen` epochs; None where that, or the truth, is missing."""
    now, end = other.first + seen - 1, other.first + length - 1
    # By epoch, for a curve may have holes.
    truth = dict(zip(other.numbers, other.values, strict=True))
    try:
        prepared = prepare(other.until(now), end, settings)
    except Refused:
        return None
    wanted = now + np.ceil(KNOTS * (end - now)).astype(int)
    values = np.array([truth.get(int(epoch), np.nan) for epoch in wanted], dtype=float)
    if prepared.to != end or not np.isfinite(values).all():
        return None
    targets = np.ceil(prepared.number(wanted)).astype(int)
    inputs = features(prepared, fit_ensemble(prepared, settings), targets)
    ends = known.quantiles(inputs, np.log(len(prepared.y) / targets))
    logs = inputs.log(np.array([prepared.above(value) for value in values]))
    scores = np.array([score(ends[:, k], float(logs[k])) for k in range(len(KNOTS))])
    return Neighbor(other.run, inputs.alike, guesses(inputs, ends), scores)


def guesses(inputs: Features, ends: Array) -> Array:
    """Return the normal scores of what the fits say of the end, and of the last value."""
    last = ends[:, -1]
    return np.clip([score(last, float(inputs.fits[-1])), score(last, inputs.last)], -GUESS, GUESS)


def correct(
    neighbors: Sequence[Neighbor],
    mine: Array,
    my_guesses: Array,
    settings: Settings = DEFAULT,
    wider: float = 1.0,
) -> Correction:
    """Return what the scores of `neighbors` mean for a run with the features `mine`, `wider` times as far apart."""
    given = np.array([neighbor.scores for neighbor in neighbors])
    # The band shrinks as others come in: caution is for what the population alone says.
    part = 1 / (1 + len(neighbors) / settings.band_runs)
    levels = np.concatenate([LEVELS, [0.5 - settings.better * part, 0.5 + settings.worse * part]])
    alike = np.array([*(neighbor.alike for neighbor in neighbors), mine])
    guessed = np.array([*(neighbor.guesses for neighbor in neighbors), my_guesses])
    found = mixture(given, alike, guessed, levels)
    names = tuple(neighbor.run for neighbor in neighbors)
    scores, middle = found[: len(LEVELS)], found[LEVELS.tolist().index(0.5)]
    return Correction(middle + wider * (scores - middle), found[len(LEVELS) :], names)


def mixture(scores: Array, alike: Array, guessed: Array, levels: Array) -> Array:
    """Return the quantiles at `levels` (k,) of a run's score, one column for each of `scores` (runs, columns).

    `alike` and `guessed` have a row a run, the last one being that of the run in question.
    """
    count = len(scores)
    apart = ((alike[:, None] - alike[None]) ** 2).sum(-1)
    product = guessed @ guessed.T
    means, deviations, logs = [], [], []
    for spread in SPREADS:
        for common, guess, similar, own in SHARES:
            for near in NEAR if similar else NEAR[:1]:
                whole = common + guess * product + similar * np.exp(-apart / (2 * near**2))
                whole = spread * (whole + own * np.eye(count + 1))
                # Once for all columns of scores; every entry of `SHARES` has an own
                # part, which keeps the matrix regular.
                root = np.linalg.cholesky(whole[:count, :count])
                half = np.linalg.solve(root, scores)
                mine = np.linalg.solve(root, whole[:count, count])
                fit = (half**2).sum(0)
                # Rounding may bring it below zero where a neighbour is nearly the run itself.
                left = max(float(whole[count, count] - mine @ mine), 1e-6)
                means.append(mine @ half)
                deviations.append(np.sqrt(left * (FREEDOM + fit) / (FREEDOM + count)))
                size = np.log(np.diag(root)).sum() + UNUSUAL * (spread != 1.0)
                logs.append(-0.5 * (FREEDOM + count) * np.log1p(fit / FREEDOM) - size)
    # Less the largest, or all of them underflow to zero with many runs.
    weights = np.exp(np.array(logs) - np.max(logs, axis=0))
    weights /= weights.sum(0)
    z = (GRID_POINTS[:, None, None] - np.array(means)) / np.array(deviations)
    doubt = DOUBT / (count + DOUBT_RUNS)
    below = (1 - doubt) * (ndtr(z) * weights).sum(1) + doubt * ndtr(GRID_POINTS)[:, None]
    return np.array([np.interp(levels, column, GRID_POINTS) for column in below.T]).T


def neutral(levels: Array = LEVELS) -> Array:
    """Return the normal scores of `levels`: what stands where no other run says anything."""
    return np.asarray(ndtri(levels))
