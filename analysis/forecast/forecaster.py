"""`forecast`: one curve in, a distribution of its future out, or "no forecast" and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from analysis.forecast.cross_run_prior import KNOTS, Correction, CrossRunPrior, neutral
from analysis.forecast.curve import ACCURACY, Curve, Prepared, Refused, known_epochs, prepare
from analysis.forecast.distribution import at_score, ordered, probability_below, score
from analysis.forecast.ensemble import Ensemble, fit_ensemble
from analysis.forecast.features import Features, features
from analysis.forecast.population import MIDDLE, Population
from analysis.forecast.settings import DEFAULT, Settings
from analysis.stats import noise

Array = np.ndarray
FORECAST, NO_FORECAST = "forecast", "no forecast"
PATHS = 400  # simulated futures, for the best epoch
# Epochs ahead up to which each is forecast by itself; beyond, as many are, and the rest between them.
EVERY = 48


@dataclass(frozen=True)
class Forecast:
    """The future of a curve, in the metric's own units; epochs are global and 1-based.

    `verdict` is "forecast" or "no forecast", and then `reason` says why: either nothing can be said and
    `epochs` is empty, or the last value is at least as good a guess as the fits, and then is the `median`
    with the interval around it. `median` is a cautious value in the
    middle of the distribution, between its 40 and 72 percent quantiles. `skill` is the back-tests' mean error over that of the last value, `prior_runs` the other runs used,
    `ends` (levels, epochs) the quantiles as logs over the present level.
    """

    curve: Curve
    to: int
    verdict: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    epochs: Array = field(default_factory=lambda: np.empty(0, int))
    median: Array = field(default_factory=lambda: np.empty(0))
    skill: float = float("nan")
    prior_runs: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    backtests: Array = field(default_factory=lambda: np.empty((0, 4)))
    """Rows (origin, epoch, forecast, value)."""
    prepared: Prepared | None = None
    features: Features | None = None
    ends: Array = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def known(self) -> bool:
        """Whether there are numbers at all."""
        return len(self.epochs) > 0

    @property
    def others(self) -> int:
        """The number of other runs used."""
        return len(self.prior_runs)

    def quantile(self, level: float) -> Array:
        """Return the quantile at `level` (0 to 1) for each of `epochs`."""
        if self.prepared is None or self.features is None:
            return np.empty(0)
        # Ends are kept for numbers that fall; of an accuracy the upper quantile is the lower one there.
        upward = level if self.prepared.kind != ACCURACY else 1 - level
        logs = at_score(self.ends, np.full((1, len(self.epochs)), ndtri(upward)))[0]
        return self.prepared.value(self.features.value(logs))

    def interval(self, share: float = 0.8) -> tuple[Array, Array]:
        """Return the lower and upper ends of the central interval that holds `share`, per epoch."""
        return self.quantile(0.5 - share / 2), self.quantile(0.5 + share / 2)

    def chance(self, value: float) -> float:
        """Return the probability that the last epoch's value is better than `value`; NaN when not known."""
        if self.prepared is None or self.features is None:
            return float("nan")
        log = float(self.features.log(self.prepared.above(value)))
        return probability_below(self.ends[:, -1], log)

    def best_epoch(self) -> tuple[int, float]:
        """Return the expected epoch of the run's best value, and the chance that it is still to come.

        The median over simulated futures, each at one level of the distribution all the way, with the curve's
        noise on top; seeded, so that the same curve gives the same answer.
        """
        if self.prepared is None or self.features is None:
            return self.curve.last, float("nan")
        # A seed of the forecast's own: the same curve gives the same answer, whatever was drawn before.
        generator = np.random.default_rng(0)
        seen = self.features.log(self.prepared.y)
        # Cut at both ends: beyond the outermost quantiles the distribution is not known.
        scores = ndtri(generator.uniform(0.005, 0.995, PATHS))[:, None]
        # One level all the way: runs that are good early stay good, so that epochs are not drawn one by one.
        paths = at_score(self.ends, np.repeat(scores, len(self.epochs), axis=1))
        paths = paths + noise.of_newest(seen, 8) * generator.normal(size=paths.shape)
        paths = np.maximum(paths, self.features.log(self.prepared.least))  # nothing is better than no error
        # A filled gap holds the value before it and must not count as an epoch that was measured.
        so_far = np.where(self.prepared.seen > 0, seen, np.inf)
        later = paths.min(1) < so_far.min()
        best = np.where(later, self.epochs[paths.argmin(1)], self.prepared.epoch(int(so_far.argmin())))
        return int(np.median(best)), float(later.mean())

    @property
    def epochs_left(self) -> int:
        """Epochs from the last one seen to the one asked for."""
        return max(self.to - self.curve.last, 0)

    @property
    def hours_left(self) -> float | None:
        """The time these epochs take, if an epoch's time is known."""
        return None if self.curve.seconds is None else self.epochs_left * self.curve.seconds / 3600


def forecast(
    curve: Curve,
    to: int | None = None,
    others: CrossRunPrior | Sequence[Curve] = (),
    settings: Settings = DEFAULT,
    known: Population | None = None,
) -> Forecast:
    """Forecast `curve` up to epoch `to` (its planned end by default), with `others` as prior if given.

    Raises `RecordError` when neither `to` nor a planned end is known. A curve that cannot be forecast gives a
    `Forecast` whose verdict is "no forecast". The same input always gives the same answer. `known` is the
    population of curves to go by; the one that comes with the project by default.
    """
    end = known_epochs(curve, to)
    try:
        prepared = prepare(curve, end, settings)
    # Refused curves are an answer, not an error: of a hundred runs one may have diverged.
    except Refused as refusal:
        return Forecast(curve, end, NO_FORECAST, str(refusal))
    # A group that is handed in keeps its forecasts of the others from epoch to epoch of a training.
    group = others if isinstance(others, CrossRunPrior) else CrossRunPrior(others, settings, known)
    ensemble = fit_ensemble(prepared, settings)
    targets = _targets(prepared, settings)
    inputs = features(prepared, ensemble, targets)
    ends = (known or group.population).quantiles(inputs, np.log(len(prepared.y) / targets))
    return _forecast(
        curve,
        prepared,
        ensemble,
        inputs,
        ends,
        group.correction_of(curve, prepared, inputs, ends),
        settings,
    )


def _targets(prepared: Prepared, settings: Settings) -> Array:
    """Return the numbers of the epochs to forecast by themselves: all, or some and those before and after a border."""
    n, length = len(prepared.y), prepared.length
    if length - n <= EVERY:
        return np.arange(n + 1, length + 1)
    # Denser at the near end, where forecasts are sharp; epochs around a fall of the rate are forecast themselves.
    found = set(np.round(n + np.geomspace(1, length - n, EVERY)).astype(int).tolist())
    if prepared.rates is not None:
        fall = np.flatnonzero(
            np.abs(np.diff(np.log(np.maximum(prepared.rates, 1e-12)))) > np.log(settings.border_ratio)
        )
        # The two epochs after a fall as well: interpolation across it would draw the drop as a slope.
        found |= {int(k) + 1 + step for k in fall for step in (0, 1, 2) if n < k + 1 + step <= length}
    return np.array(sorted(found))


def _forecast(
    curve: Curve,
    prepared: Prepared,
    ensemble: Ensemble,
    inputs: Features,
    ends: Array,
    correction: Correction | None,
    settings: Settings,
) -> Forecast:
    n, targets = len(prepared.y), _targets(prepared, settings)
    ends, inner = _corrected(ends, (targets - n) / (prepared.length - n), correction, settings)
    # After the correction by other runs, whose word on the end counts here too.
    nearer = _chance_of_last_nearer(ends[:, -1], inputs)
    point = np.clip(_cautious_value(prepared, inputs, ends), inner[0], inner[1])
    verdict, reason = FORECAST, ""
    if nearer >= settings.last_nearer and abs(score(ends[:, -1], inputs.last)) < settings.near_last:
        # The interval stays: where the middle is in doubt its width is still what the curves show.
        verdict, point = NO_FORECAST, np.full_like(point, inputs.last)
        reason = f"the fits are no better than the last value: the end is nearer to it with a chance of {nearer:.0%}"
    # Between its neighbours: quantiles that cross would give chances below zero.
    ends[MIDDLE] = np.clip(point, ends[MIDDLE - 1], ends[MIDDLE + 1])
    epochs = np.arange(int(prepared.epoch(n - 1)) + 1, prepared.to + 1)
    whole = ordered(np.array([np.interp(prepared.number(epochs), targets, row) for row in ends]))
    past = ensemble.past
    return Forecast(
        curve=curve,
        to=prepared.to,
        verdict=verdict,
        reason=reason,
        notes=tuple(prepared.notes),
        epochs=epochs,
        median=prepared.value(inputs.value(whole[MIDDLE])),
        skill=ensemble.skill,
        prior_runs=() if correction is None else correction.runs,
        weights=dict(zip(ensemble.names, ensemble.weights.tolist(), strict=True)),
        backtests=np.column_stack(
            [
                prepared.epoch(past[:, 0] - 1),
                prepared.epoch(past[:, 1]),
                *map(prepared.value, past[:, 2:4].T),
            ]
        ),
        prepared=prepared,
        features=inputs,
        ends=whole,
    )


def _corrected(
    ends: Array, way: Array, correction: Correction | None, settings: Settings
) -> tuple[Array, Array]:
    """Return the quantiles as the other runs have them, and the band in which the value to tell lies."""
    if correction is None:
        band = neutral(np.array([0.5 - settings.better, 0.5 + settings.worse]))
        return ends.copy(), at_score(ends, np.repeat(band[:, None], len(way), axis=1))
    scores, inner = (
        np.array([np.interp(way, KNOTS, row) for row in rows])
        for rows in (correction.scores, correction.inner)
    )
    return ordered(at_score(ends, scores)), at_score(ends, inner)


def _cautious_value(prepared: Prepared, inputs: Features, ends: Array) -> Array:
    """Return what the forecast of each epoch would be if the distribution were wide: a cautious value.

    Where the learning rates are known, the middle one of the fits' value, the last value and the population's median; else half
    way between the fits and the last value. It is at most as wrong as two of them, whichever family the curve is of.
    """
    if prepared.rates is None and not prepared.constant:
        return (inputs.fits + inputs.last) / 2
    return np.median([inputs.fits, np.full_like(inputs.fits, inputs.last), ends[MIDDLE]], axis=0)


def _chance_of_last_nearer(ends: Array, inputs: Features) -> float:
    """Return the probability that the end is nearer to the last value than to what the fits say."""
    fits, last = float(inputs.fits[-1]), inputs.last
    below = probability_below(ends, (fits + last) / 2)
    return 1 - below if fits < last else below
