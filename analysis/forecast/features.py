"""What a curve looks like, in numbers that mean the same on any task: logs of ratios to its present level.

Every length below is the log of a value over the present level; `unit` is the natural size of a step there (noise,
disagreement of the fits, how far they expect to go), and most features are given in units of it. So a loss of 6
and an error of 0.003 look alike where they behave alike. The population (`analysis.forecast.population`)
was trained on these numbers; changing one means training it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.forecast.baselines import BASELINES
from analysis.forecast.curve import LOSS, Prepared
from analysis.forecast.ensemble import BY_RATE, PLAIN_LAST, Ensemble, quantiles
from analysis.forecast.lr_effects import relative
from analysis.stats import noise

Array = np.ndarray
SOFT = 0.02  # of the present level, added before taking logs: a value may be zero
LEAST_RATE = 1e-5  # of the peak learning rate; below it nothing changes any more
MOST_FALL = 5.0  # natural logs: an anneal by more than a factor of 150 brings no more
WIDEST = 90  # epochs that a slope looks back on, at most
IN_UNITS = (
    "all10",
    "all50",
    "all90",
    "fits50",
    "driven50",
    "last",
    "slope quarter",
    "slope tenth",
    "drop quarter",
    "quarter ago",
    "half ago",
    "three quarters ago",
    "best",
    "bias",
)
SIZES = ("noise", "miss", "last value's miss", "deviation")
AS_THEY_ARE = ("since best", "of run", "since fall", "rates known", "loss", "evaluation", "to anneal")
SCHEDULE = ("fall to come", "fall so far", "rates to come", "constant rate", "ahead")
NAMES = (*IN_UNITS, *SIZES, "unit", "first", *AS_THEY_ARE, *SCHEDULE)


@dataclass(frozen=True)
class Features:
    """Features (targets, names) of a curve forecast to several epochs; `unit` (targets,), `fits` (targets,) in logs.

    `level` is the present value without its noise, `last` the log of the last value over it; `fits` is what the
    ensemble of fits says. `alike` are the features by which other runs are compared.
    """

    table: Array
    unit: Array
    fits: Array
    last: float
    level: float
    alike: Array

    def log(self, value: Array | float) -> Array:
        """Return logs of values (above the floor) over the present level."""
        soft = SOFT * self.level
        return np.log((np.maximum(value, 0.0) + soft) / (self.level + soft))

    def value(self, log: Array) -> Array:
        """Return the values above the floor of such logs."""
        soft = SOFT * self.level
        return np.maximum((self.level + soft) * np.exp(log) - soft, 0.0)


def theil_sen(values: Array) -> float:
    """Return the median of the slopes between all pairs of `values`, per epoch."""
    # All pairs: the cost grows with the square, and a slope further back says little.
    values = values[-WIDEST:]
    if len(values) < 2:
        return 0.0
    first, second = np.triu_indices(len(values), 1)
    return float(np.median((values[second] - values[first]) / (second - first)))


def present_level(y: Array, least: float = 0.0) -> float:
    """Return the value that the end of `y` has without its noise: the recent median, carried to the last epoch."""
    width = min(int(np.clip(round(len(y) / 10), 3, 8)), len(y))
    slope = theil_sen(y[-min(len(y), 2 * width) :])
    # Half the window is carried on along the slope: a median alone lags behind a curve that still falls.
    # Never 0, for logs are taken over it.
    return max(float(np.median(y[-width:]) + slope * (width - 1) / 2), least, 1e-9)


def features(prepared: Prepared, ensemble: Ensemble, targets: Array) -> Features:
    """Return the features of `prepared` for forecasts up to its epochs number `targets` (above the seen ones)."""
    level = present_level(prepared.y, prepared.least)
    # Without a table yet: its `log` is needed to make the features themselves.
    found = Features(np.empty(0), np.empty(0), np.empty(0), 0.0, level, np.empty(0))
    logs = found.log(prepared.y)
    facts = _fits(ensemble, found, targets) | _misses(ensemble, found, logs)
    facts |= _shape(logs, targets) | _schedule(prepared, targets)
    facts["loss"] = float(prepared.kind == LOSS)
    facts["evaluation"] = float(prepared.evaluation)
    n, one = len(logs), np.ones(len(targets))
    # The 10 and 90 percent quantiles of a normal distribution lie 2.56 deviations apart.
    spread = (facts["all90"] - facts["all10"]) / 2.56
    # A floor of the unit: a curve without any noise would make every feature infinite.
    drift = 0.03**2 * (targets - n) / n + 0.02**2
    unit = np.sqrt(facts["noise"] ** 2 + spread**2 + drift + (0.25 * facts["all50"]) ** 2)
    # arcsinh: like a logarithm far out and straight near zero, on both sides.
    columns = [np.arcsinh(facts[name] / unit) for name in IN_UNITS]
    columns += [np.log(np.abs(facts[name]) / unit + 1e-3) for name in SIZES]
    columns += [np.log(unit), facts["first"] * one]
    columns += [facts[name] * one for name in (*AS_THEY_ARE, *SCHEDULE)]
    alike = [np.log(max(level * prepared.scale, 1e-9)), facts["half ago"], np.log(facts["noise"] + 0.03)]
    alike += [facts["all50"][-1], np.asarray(facts["to anneal"] * one)[-1]]
    return Features(
        np.column_stack(columns), unit, facts["all50"], facts["last"], level, np.array(alike, dtype=float)
    )


def _fits(ensemble: Ensemble, scale: Features, targets: Array) -> dict[str, Array]:
    """Return quantiles over all forecasts of the ensemble, over the fits alone, and over those by summed rate."""
    names = ensemble.names
    plain = np.array([name in BASELINES or name == PLAIN_LAST for name in names])
    driven = np.array([name.endswith(BY_RATE) for name in names])
    logs = scale.log(ensemble.pool[:, -1][:, targets - 1])

    def over(mask: Array, levels: tuple[float, ...]) -> Array:
        return quantiles(logs[mask], ensemble.weights[mask] / ensemble.weights[mask].sum(), levels)

    low, middle, high = over(np.ones(len(names), bool), (0.1, 0.5, 0.9))
    # The fits alone too: where they and the last value part, the population has learnt whom to believe.
    fits = over(~plain & ~driven, (0.5,))[0]
    by_rate = over(driven, (0.5,))[0] if driven.any() else fits
    deviation = np.log1p(ensemble.deviation[targets - 1] / (scale.level * (1 + SOFT)))
    return {
        "all10": low,
        "all50": middle,
        "all90": high,
        "fits50": fits,
        "driven50": by_rate,
        "deviation": deviation,
    }


def _misses(ensemble: Ensemble, scale: Features, logs: Array) -> dict[str, float]:
    """Return noise, and how far the back-tests and the last value missed."""
    deviation = noise.trimmed_logs(logs)
    found = {"noise": deviation, "bias": 0.0, "miss": deviation, "last value's miss": deviation}
    if len(ensemble.past):
        origin, index, forecast, value, _ = ensemble.past.T
        # By how far ahead a back-test looked, measured in what it had seen: far ones tell more about the end.
        weight = (index + 1 - origin) / origin
        weight = weight / weight.sum()
        error = scale.log(value) - scale.log(forecast)
        stayed = scale.log(value) - logs[origin.astype(int) - 1]
        found["bias"] = float(weight @ error)
        found["miss"] = float(weight @ np.abs(error))
        found["last value's miss"] = float(weight @ np.abs(stayed))
    return found


def _shape(logs: Array, targets: Array) -> dict[str, Array | float]:
    """Return slopes, the way so far, the best value and how long ago that was."""
    n = len(logs)
    # A median of three, so that one lucky epoch is not the best value.
    padded = np.pad(logs, 1, mode="edge")
    smooth = np.median(np.stack([padded[:-2], logs, padded[2:]]), axis=0)
    slope = theil_sen(logs[-max(4, n // 4) :])

    def ago(part: float) -> float:
        middle = int(part * n)
        return float(np.median(logs[max(0, middle - 1) : middle + 2]))

    return {
        "last": float(logs[-1]),
        "first": float(logs[0]),
        "slope quarter": slope * (targets - n),
        "slope tenth": theil_sen(logs[-max(4, n // 10) :]) * (targets - n),
        "drop quarter": slope * n / 4,
        "three quarters ago": ago(0.25),
        "half ago": ago(0.5),
        "quarter ago": ago(0.75),
        "best": float(smooth.min()),
        "since best": (n - 1 - int(smooth.argmin())) / n,
        "ahead": np.log(n / targets),
    }


def _schedule(prepared: Prepared, targets: Array) -> dict[str, Array | float]:
    """Return what is known of the learning rate: how far it has fallen, how far it will."""
    n = len(prepared.y)
    found: dict[str, Array | float] = {"of run": targets / prepared.length}
    if prepared.rates is None:
        # Zeros, and a mark beside them that rates are not known: the networks were trained on the same.
        names = ("fall to come", "fall so far", "rates to come", "to anneal", "since fall", "rates known")
        return found | dict.fromkeys(names, 0.0) | {"constant rate": float(prepared.constant)}
    # Held above zero, for a cosine ends at 0 and logs are taken.
    rates = np.maximum(relative(prepared.rates), LEAST_RATE)
    now, summed = rates[n - 1], np.cumsum(rates)
    fallen = prepared.borders[-1] if prepared.borders else 0
    return found | {
        "fall to come": np.clip(np.log(now / rates[targets - 1]), -MOST_FALL, MOST_FALL),
        "fall so far": float(np.clip(-np.log(now), 0, MOST_FALL)),
        "rates to come": np.log(summed[targets - 1] / summed[n - 1]),
        "to anneal": now - rates[targets - 1],
        "since fall": (n - fallen) / n,
        "rates known": 1.0,
        "constant rate": 0.0,
    }
