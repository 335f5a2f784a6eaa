"""Several forecasts side by side: who to beat, and which runs are worth their remaining hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.forecast.curve import Curve
from analysis.forecast.forecaster import FORECAST, Forecast
from workbench.errors import InputError
from workbench.names import lower_is_better

WORTH, HOPELESS, EARLY, DONE = "worth continuing", "hopeless", "too early to say", "finished"
LIKELY, UNLIKELY = 0.3, 0.05  # chances of beating the target, from and below which a run is judged


@dataclass(frozen=True)
class Recommendation:
    """A forecast with the value it has to beat, whose value that is, and the advice."""

    told: Forecast
    target: float | None
    rival: str
    chance: float
    advice: str
    why: str

    def line(self) -> dict[str, Any]:
        """Return the forecast as the object of one JSON line; numbers that are not known are null."""
        told, curve = self.told, self.told.curve
        best, later = told.best_epoch()
        ends = {share: told.interval(share) for share in (0.5, 0.8)} if told.known else {}
        return {
            "run": curve.run,
            "study": curve.study or None,
            "name": curve.name or curve.run,
            "metric": curve.metric,
            "verdict": told.verdict,
            "reason": told.reason or None,
            "advice": self.advice,
            "why": self.why,
            "last": {"epoch": curve.last, "value": _number(curve.values[-1])},
            "to": told.to,
            "median": _number(told.median[-1]) if told.known else None,
            "interval50": [_number(end[-1]) for end in ends[0.5]] if ends else None,
            "interval80": [_number(end[-1]) for end in ends[0.8]] if ends else None,
            "beat": None if self.target is None else {"value": self.target, "whose": self.rival},
            "chance": _number(self.chance),
            "best_epoch": best if told.known else None,
            "best_still_to_come": _number(later),
            "epochs_left": told.epochs_left,
            "hours_left": told.hours_left,
            "skill": _number(told.skill),
            "other_runs": told.others,
            "prior_runs": list(told.prior_runs),
            "notes": list(told.notes),
        }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def rank(
    told: Sequence[Forecast], beat: float | None, whose: str, pool: Sequence[Curve]
) -> list[Recommendation]:
    """Return the forecasts judged against `beat`, or against the best other run, the best chance first.

    Without `beat`, a run has to beat the best final value of the finished runs in `pool`, or, when there is none,
    the best median of the other forecasts.
    """
    found = [_recommended(one, *_target(one, beat, whose, told, pool)) for one in told]
    order = {WORTH: 0, EARLY: 1, HOPELESS: 2, DONE: 3}
    return sorted(found, key=lambda one: (order[one.advice], -np.nan_to_num(one.chance, nan=-1.0)))


def _target(
    one: Forecast, beat: float | None, whose: str, told: Sequence[Forecast], pool: Sequence[Curve]
) -> tuple[float | None, str]:
    if beat is not None:
        return beat, whose
    pick = min if lower_is_better(one.curve.metric) else max
    names = {curve.run: curve.name or curve.run for curve in pool}
    # The run itself is left out: beating one's own end is no success.
    finals = {c.run: float(c.values[-1]) for c in pool if c.finished and c.run != one.curve.run}
    finals = {run: value for run, value in finals.items() if np.isfinite(value)}
    if not finals:
        finals = {o.curve.run: float(o.median[-1]) for o in told if o is not one and o.known}
        names |= {o.curve.run: f"{o.curve.name or o.curve.run} (forecast)" for o in told}
    if not finals:
        return None, ""
    best = pick(finals, key=finals.__getitem__)
    return finals[best], names[best]


def _recommended(told: Forecast, target: float | None, rival: str) -> Recommendation:
    if told.epochs_left == 0:
        return Recommendation(told, target, rival, float("nan"), DONE, "its last planned epoch is over")
    chance = told.chance(target) if target is not None else float("nan")
    # Without a forecast no run is called hopeless, whatever its chance looks like.
    if told.verdict != FORECAST:
        return Recommendation(told, target, rival, chance, EARLY, told.reason)
    if target is None:
        return Recommendation(told, None, "", chance, EARLY, "there is nothing to compare it with")
    why = f"chance {chance:.0%} to beat {target:.4g}" + (f" of {rival}" if rival else "")
    if chance >= LIKELY:
        return Recommendation(told, target, rival, chance, WORTH, why)
    return Recommendation(told, target, rival, chance, HOPELESS if chance < UNLIKELY else EARLY, why)


def rival_value(text: str, curves: Sequence[Curve]) -> tuple[float, str]:
    """Return the value that `--beat` means: a number, or the final value of the run it names."""
    try:
        return float(text), ""
    except ValueError:
        pass
    found = [c for c in curves if text in (c.run, c.name)] or [c for c in curves if c.run.startswith(text)]
    if len(found) != 1:
        raise InputError(f"{text!r} is not a number and means {len(found)} runs", where="--beat")
    return float(found[0].values[-1]), found[0].name or found[0].run
