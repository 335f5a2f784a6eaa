"""Several forecasts side by side: who to beat, and which runs are worth their remaining hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.forecast.curve import Curve
from analysis.forecast.forecaster import FORECAST, Forecast
from workbench.errors import InputError
from workbench.names import badness, lower_is_better

WORTH, HOPELESS, EARLY, DONE = "worth continuing", "hopeless", "too early to say", "finished"
LIKELY, UNLIKELY = 0.3, 0.05  # chances of beating the target, from and below which a run is judged


@dataclass(frozen=True)
class Recommendation:
    """A forecast with the value it has to beat, whose value that is, and the advice."""

    forecast: Forecast
    target: float | None
    whose: str
    chance: float
    advice: str
    why: str

    def line(self) -> dict[str, Any]:
        """Return the forecast as the object of one JSON line; numbers that are not known are null."""
        forecast, curve = self.forecast, self.forecast.curve
        best, later = forecast.best_epoch()
        ends = {share: forecast.interval(share) for share in (0.5, 0.8)} if forecast.known else {}
        return {
            "run": curve.run,
            "study": curve.study or None,
            "name": curve.name or curve.run,
            "metric": curve.metric,
            "verdict": forecast.verdict,
            "reason": forecast.reason or None,
            "advice": self.advice,
            "why": self.why,
            "last": {"epoch": curve.last, "value": _number(curve.values[-1])},
            "to": forecast.to,
            "median": _number(forecast.median[-1]) if forecast.known else None,
            "interval50": [_number(end[-1]) for end in ends[0.5]] if ends else None,
            "interval80": [_number(end[-1]) for end in ends[0.8]] if ends else None,
            "beat": None if self.target is None else {"value": self.target, "whose": self.whose},
            "chance": _number(self.chance),
            "best_epoch": best if forecast.known else None,
            "best_still_to_come": _number(later),
            "epochs_left": forecast.epochs_left,
            "hours_left": forecast.hours_left,
            "skill": _number(forecast.skill),
            "other_runs": forecast.others,
            "prior_runs": list(forecast.prior_runs),
            "notes": list(forecast.notes),
        }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def rank(
    forecasts: Sequence[Forecast], beat: float | None, whose: str, pool: Sequence[Curve]
) -> list[Recommendation]:
    """Return the forecasts judged against `beat`, or against the best other run, the best chance first.

    Without `beat`, a run has to beat the best final value of the finished runs in `pool`, or, when there is none,
    the best median of the other forecasts.
    """
    found = [_recommended(one, *_target(one, beat, whose, forecasts, pool)) for one in forecasts]
    order = {WORTH: 0, EARLY: 1, HOPELESS: 2, DONE: 3}
    return sorted(found, key=lambda one: (order[one.advice], -np.nan_to_num(one.chance, nan=-1.0)))


def _target(
    one: Forecast, beat: float | None, whose: str, forecasts: Sequence[Forecast], pool: Sequence[Curve]
) -> tuple[float | None, str]:
    if beat is not None:
        return beat, whose
    lower = lower_is_better(one.curve.metric)
    names = {curve.run: curve.name or curve.run for curve in pool}
    # The run itself is left out: beating one's own end is not a success.
    finals = {c.run: float(c.values[-1]) for c in pool if c.finished and c.run != one.curve.run}
    finals = {run: value for run, value in finals.items() if np.isfinite(value)}
    if not finals:
        finals = {o.curve.run: float(o.median[-1]) for o in forecasts if o is not one and o.known}
        names |= {o.curve.run: f"{o.curve.name or o.curve.run} (forecast)" for o in forecasts}
    if not finals:
        return None, ""
    best = min(finals, key=lambda run: badness(finals[run], lower))
    return finals[best], names[best]


def _recommended(forecast: Forecast, target: float | None, whose: str) -> Recommendation:
    if forecast.epochs_left == 0:
        return Recommendation(forecast, target, whose, float("nan"), DONE, "its last planned epoch is over")
    chance = forecast.chance(target) if target is not None else float("nan")
    # Without a forecast no run is called hopeless, whatever its chance looks like.
    if forecast.verdict != FORECAST:
        return Recommendation(forecast, target, whose, chance, EARLY, forecast.reason)
    if target is None:
        return Recommendation(forecast, None, "", chance, EARLY, "there is nothing to compare it with")
    why = f"chance {chance:.0%} to beat {target:.4g}" + (f" of {whose}" if whose else "")
    if chance >= LIKELY:
        return Recommendation(forecast, target, whose, chance, WORTH, why)
    return Recommendation(forecast, target, whose, chance, HOPELESS if chance < UNLIKELY else EARLY, why)


def value_to_beat(text: str, curves: Sequence[Curve]) -> tuple[float, str]:
    """Return the value that `--beat` means: a number, or the final value of the run it names."""
    try:
        return float(text), ""
    except ValueError:
        pass
    found = [c for c in curves if text in (c.run, c.name)] or [c for c in curves if c.run.startswith(text)]
    if len(found) != 1:
        raise InputError(f"{text!r} is not a number and means {len(found)} runs", where="--beat")
    return float(found[0].values[-1]), found[0].name or found[0].run
