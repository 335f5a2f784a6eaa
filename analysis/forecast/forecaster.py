"""`forecast`: one curve in, a distribution of its future out, or "no forecast" and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.forecast.cross_run_prior import KNOTS, Correction, CrossRunPrior
from analysis.forecast.curve import ACCURACY, Curve, Prepared, Refused, known_epochs, prepare
from analysis.forecast.ensemble import Ensemble, fit_ensemble
from analysis.forecast.interval import probability_below, quantile, standard
from analysis.forecast.lr_effects import relative
from analysis.forecast.settings import DEFAULT, Settings

Array = np.ndarray
FORECAST, NO_FORECAST = "forecast", "no forecast"
PENDING = 0.1  # an anneal still to come, of the peak rate: back-tests cannot have judged what it brings
PATHS = 400  # simulated futures, for the best epoch


@dataclass(frozen=True)
class Forecast:
    """The future of a curve, in the metric's own units; epochs are global and 1-based.

    `verdict` is "forecast" or "no forecast", and then `reason` says why: either nothing can be said and
    `epochs` is empty, or the back-tests were no better than the last value, which then is the `median`
    with the interval around it. `skill` is the back-tests' mean error over that of the last value.
    """

    curve: Curve
    to: int
    verdict: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    epochs: Array = field(default_factory=lambda: np.empty(0, int))
    median: Array = field(default_factory=lambda: np.empty(0))
    skill: float = float("nan")
    others: int = 0
    weights: dict[str, float] = field(default_factory=dict)
    backtests: Array = field(default_factory=lambda: np.empty((0, 4)))
    """Rows (origin, epoch, forecast, value)."""
    seed: int = 0
    prepared: Prepared | None = None
    middle: Array = field(default_factory=lambda: np.empty(0))
    deviation: Array = field(default_factory=lambda: np.empty(0))
    quantiles: Array = field(default_factory=lambda: np.empty(0))

    @property
    def known(self) -> bool:
        """Whether there are numbers at all."""
        return len(self.epochs) > 0

    def quantile(self, level: float) -> Array:
        """Return the quantile at `level` (0 to 1) for each of `epochs`."""
        if self.prepared is None:
            return np.empty(0)
        upward = level if self.prepared.kind != ACCURACY else 1 - level
        return self.prepared.value(self.middle + quantile(upward, self.quantiles) * self.deviation)

    def interval(self, share: float = 0.8) -> tuple[Array, Array]:
        """Return the lower and upper ends of the central interval that holds `share`, per epoch."""
        return self.quantile(0.5 - share / 2), self.quantile(0.5 + share / 2)

    def chance(self, value: float) -> float:
        """Return the probability that the last epoch's value is better than `value`; NaN when not known."""
        if self.prepared is None:
            return float("nan")
        z = (self.prepared.above(value) - self.middle[-1]) / max(float(self.deviation[-1]), 1e-12)
        return float(probability_below(np.array([z]), self.quantiles)[0])

    def best_epoch(self) -> tuple[int, float]:
        """Return the expected epoch of the run's best value, and the chance that it is still to come.

        The median over simulated futures, each the middle curve with one draw for its trend
        and one a epoch for the noise; seeded, so that the same curve gives the same answer.
        """
        if self.prepared is None:
            return self.curve.last, float("nan")
        y, generator = self.prepared.y, np.random.default_rng(self.seed)
        noise = min(float(np.std(np.diff(y[-8:])) / np.sqrt(2)), float(self.deviation.min()))
        trend = np.sqrt(np.maximum(self.deviation**2 - noise**2, 0.0))
        levels = generator.uniform(0.005, 0.995, PATHS)
        drawn = np.array([quantile(level, self.quantiles) for level in levels])
        paths = self.middle + drawn[:, None] * trend + noise * generator.normal(size=(PATHS, len(trend)))
        future = np.maximum(paths, 0.0)
        so_far = np.where(self.prepared.seen > 0, y, np.inf)
        later = future.min(1) < so_far.min()
        best = np.where(later, self.epochs[future.argmin(1)], self.prepared.start + int(so_far.argmin()))
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
    seed: int = 0,
) -> Forecast:
    """Forecast `curve` up to epoch `to` (its planned end by default), with `others` as prior if given.

    Raises `RecordError` when neither `to` nor a planned end is known. A curve that cannot be forecast gives a
    `Forecast` whose verdict is "no forecast". The same input always gives the same answer.
    """
    end = known_epochs(curve, to)
    try:
        prepared = prepare(curve, end, settings)
    except Refused as refusal:
        return Forecast(curve, end, NO_FORECAST, str(refusal))
    ensemble = fit_ensemble(prepared, settings)
    group = others if isinstance(others, CrossRunPrior) else CrossRunPrior(others, settings)
    return _told(curve, prepared, ensemble, group.correction_of(curve, prepared, ensemble), settings, seed)


def _told(
    curve: Curve,
    prepared: Prepared,
    ensemble: Ensemble,
    advice: Correction | None,
    settings: Settings,
    seed: int,
) -> Forecast:
    n = len(prepared.y)
    middle, notes = ensemble.middle[n:], list(prepared.notes)
    if advice is not None:
        middle = _corrected(middle, prepared, advice)
    verdict, reason = _verdict(prepared, ensemble, advice, notes)
    if verdict == NO_FORECAST:
        middle = np.full_like(middle, prepared.y[-1])
    reach = (prepared.length - n) / n
    past = ensemble.past
    return Forecast(
        curve=curve,
        to=prepared.start + prepared.length - 1,
        verdict=verdict,
        reason=reason,
        notes=tuple(notes),
        epochs=np.arange(prepared.start + n, prepared.start + prepared.length),
        median=prepared.value(middle),
        skill=ensemble.skill,
        others=0 if advice is None else advice.count,
        weights=dict(zip(ensemble.names, ensemble.weights.tolist(), strict=True)),
        backtests=np.column_stack(
            [
                past[:, 0] + prepared.start - 1,
                past[:, 1] + prepared.start,
                *map(prepared.value, past[:, 2:4].T),
            ]
        ),
        seed=seed,
        prepared=prepared,
        middle=middle,
        deviation=ensemble.deviation[n:],
        quantiles=standard(past, reach, advice, settings),
    )


def _corrected(middle: Array, prepared: Prepared, advice: Correction) -> Array:
    """Return the middle of the future, moved by what the other runs say."""
    way = np.arange(1, len(middle) + 1) / len(middle)
    soft = advice.soft * max(float(np.median(prepared.y[-5:])), 1e-9)
    return (middle + soft) * np.exp(np.interp(way, KNOTS, advice.correction)) - soft


def _verdict(
    prepared: Prepared, ensemble: Ensemble, advice: Correction | None, notes: list[str]
) -> tuple[str, str]:
    """Return the verdict and the reason for a refusal; what spoke against one is noted."""
    if ensemble.skill < 1:
        return FORECAST, ""
    reason = f"in back-tests no better than the last value (error {ensemble.skill:.2f} times its)"
    if advice is not None and advice.ratio < 0.95:
        notes.append(f"{reason}; {advice.count} other runs were forecast well ({advice.ratio:.2f} times)")
        return FORECAST, ""
    if prepared.rates is not None:
        annealed = 1 - relative(prepared.rates)
        if annealed[-1] - annealed[: len(prepared.y)].max() > PENDING:
            notes.append(f"{reason}, which cannot tell what the coming fall of the learning rate brings")
            return FORECAST, ""
    return NO_FORECAST, reason
