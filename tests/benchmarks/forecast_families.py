"""Score the forecaster on whole families of curves, by networks that have not seen anything of their source.

Finished curves are forecast from a quarter, half and three quarters of themselves: alone, with their learning rates and without
them, and with 2, 4, 8 and 12 other runs of their family as prior. Beside it stand five simple methods whose
intervals are calibrated the same way: by the misses on all other sources, families counting alike. All curves
take some ten minutes of one core; `SAMPLE` of each family, always the same ones, take a quarter of that.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
import pandas as pd
from forecast_data import Family
from scipy.special import ndtr, ndtri

from analysis.forecast.backtest import power_law
from analysis.forecast.classic import extrapolate
from analysis.forecast.cross_run_prior import CrossRunPrior
from analysis.forecast.curve import Curve
from analysis.forecast.distribution import score
from analysis.forecast.forecaster import FORECAST, Forecast, forecast
from analysis.forecast.population import Population, population
from workbench.errors import DataError

Array = np.ndarray
SHARES = (0.25, 0.5, 0.75)
OTHERS = (2, 4, 8, 12)
FEWEST = 5  # curves of a family that is scored
LAST, EXP3, POW3, POW4, PROCESS = "last value", "exp3", "pow3", "pow4", "Gaussian process"
SIMPLE = (LAST, EXP3, POW3, POW4, PROCESS)
LOW, HIGH = 1, 5  # the 80 percent interval among the levels of a distribution


@dataclass(frozen=True)
class Sample:
    """How many curves of a family are scored alone, by the simple methods (which take most of the time) and with others.

    They are picked at random by the seed, or without one are the first.
    """

    alone: int
    simple: int
    with_others: int
    seed: int | None = None

    def of(self, family: Family) -> Sequence[Curve]:
        """Return the family's curves, those to be scored first."""
        if self.seed is None:
            return family.curves
        order = np.random.default_rng(self.seed).permutation(len(family.curves))
        return [family.curves[k] for k in order]


WHOLE, SAMPLE = Sample(40, 40, 16), Sample(16, 4, 6, seed=24)


def trials(families: Sequence[Family], sample: Sample = WHOLE) -> pd.DataFrame:
    """Return one row a forecast: what was forecast, what came, and whether the intervals held."""
    tasks = [family for family in families if len(family.curves) >= FEWEST]
    tasks.sort(key=lambda family: -len(family.curves))
    workers = min(len(os.sched_getaffinity(0)), len(tasks))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        made = pool.map(partial(_of_family, sample=sample), tasks)
        found = {family.name: rows for family, rows in zip(tasks, made, strict=True)}
    return pd.DataFrame([row for family in families for row in found.get(family.name, ())])


def _of_family(family: Family, sample: Sample) -> list[dict]:
    known, ordered = population().without(family.source), sample.of(family)
    some = any(len(curve.rates) for curve in ordered)
    rows: list[dict] = []
    for rates in (True, False) if some else (False,):
        curves = [curve if rates else replace(curve, rates=()) for curve in ordered]
        for share in SHARES:
            facts = {"source": family.source, "family": family.name, "rates": rates, "share": share}
            rows += [facts | row for row in _trials(curves, share, known, rates or not some, sample)]
    return rows


def _trials(
    curves: Sequence[Curve], share: float, known: Population, simple: bool, sample: Sample
) -> list[dict]:
    rng, kept = np.random.default_rng(int(100 * share)), {}
    usable = [curve for curve in curves if np.isfinite(curve.values[-1])]
    rows = []
    for number, curve in enumerate(usable[: sample.alone]):
        seen = max(4, round(share * len(curve.values)))
        part = curve.until(curve.first + seen - 1)
        result = forecast(part, curve.last, known=known)
        row = _row(result, curve, seen) | {"others": 0}
        if simple and number < sample.simple and result.known:
            row |= _simple(result, curve, seen)
        rows.append(row)
        rest = [other for other in usable if other.run != curve.run]
        for count in OTHERS if number < sample.with_others else ():
            if len(rest) >= count:
                picked = [rest[k] for k in rng.choice(len(rest), count, replace=False)]
                group = CrossRunPrior(picked, known=known, kept=kept)
                rows.append(
                    _row(forecast(part, curve.last, group, known=known), curve, seen) | {"others": count}
                )
    return rows


def _row(result: Forecast, curve: Curve, seen: int) -> dict:
    end, last = (
        float(curve.values[-1]),
        float(np.asarray(curve.values[:seen])[np.isfinite(curve.values[:seen])][-1]),
    )
    row = {"run": curve.run, "verdict": result.verdict, "last_error": abs(last - end), "known": result.known}
    if not result.known or result.prepared is None or result.features is None:
        return row | {"error": abs(last - end)}
    (low80, high80), (low50, high50) = result.interval(0.8), result.interval(0.5)
    near = 1e-9 * max(abs(end), 1e-9)
    fits = result.prepared.value(result.features.value(result.features.fits[-1:]))[0]
    return row | {
        "error": abs(float(result.median[-1]) - end),
        "coverage80": low80[-1] - near <= end <= high80[-1] + near,
        "coverage50": low50[-1] - near <= end <= high50[-1] + near,
        "width": float(result.ends[HIGH, -1] - result.ends[LOW, -1]),
        "fits_error": abs(float(fits) - end),
        "truth": float(truth := result.features.log(result.prepared.above(end))),
        "score": score(result.ends[:, -1], float(truth)),
    }


def _simple(result: Forecast, curve: Curve, seen: int) -> dict:
    """Return the simple methods' forecasts of the end, as logs over the present level, and their errors."""
    assert result.prepared is not None
    assert result.features is not None
    y, ahead = result.prepared.y, result.prepared.length - len(result.prepared.y)
    found = {LAST: y[-1]}
    for name, method in (
        (EXP3, lambda: extrapolate(y, ahead, "exponential")),
        (POW3, lambda: power_law(y, ahead, shifted=False)),
        (POW4, lambda: power_law(y, ahead)),
    ):
        try:
            found[name] = method()[-1]
        except DataError:
            found[name] = y[-1]
    found[PROCESS] = _process(y, ahead)
    found = {name: float(np.clip(value, 0, 3 * float(y.max()))) for name, value in found.items()}
    end = float(curve.values[-1])
    errors = {error_of(name): abs(float(result.prepared.value(value)) - end) for name, value in found.items()}
    return {name: float(result.features.log(value)) for name, value in found.items()} | errors


def error_of(method: str) -> str:
    """Return the column that holds a simple method's absolute errors."""
    return f"error of {method}"


def _process(y: Array, ahead: int) -> float:
    """Return the end of a Gaussian process over the log of the epoch: a smooth trend, and noise."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    x = np.log(np.arange(1, len(y) + 1))
    pick = np.unique(np.linspace(0, len(y) - 1, 40).astype(int))
    kernel = ConstantKernel(1.0) * RBF(1.0, (0.3, 10)) + WhiteKernel(0.01)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x[pick, None], y[pick])
    return float(model.predict(np.array([[np.log(len(y) + ahead)]]))[0])


def by_family(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a family, share and number of others: error over the last value's, intervals, width."""
    groups = rows.groupby(["source", "family", "rates", "others", "share"], sort=False)
    found = groups.agg(
        curves=("run", "size"),
        error=("error", "sum"),
        last=("last_error", "sum"),
        coverage80=("coverage80", "mean"),
        coverage50=("coverage50", "mean"),
        width=("width", "mean"),
    ).reset_index()
    found["ratio"] = found["error"] / found["last"]
    return found[found["curves"] >= FEWEST].drop(columns=["error", "last"])


def reachable(rows: pd.DataFrame, level: float, low: float, high: float) -> tuple[float, float]:
    """Return what share of the spread of normal scores is a family's own, and how many families can lie within bounds.

    The second is the share of families whose intervals hold for `low` to `high` of their curves, expected of a forecaster
    that is right over all families and does not know the one before it: by simulation, with as many curves a family.
    """
    groups = rows.dropna(subset="score").groupby(["family", "rates"])["score"]
    counts, within = groups.size().to_numpy(), float(groups.var().mean())
    between = max(float(groups.mean().var()) - within * float((1 / counts).mean()), 0.0)
    common = between / (between + within)
    rng, reach = np.random.default_rng(0), ndtri(0.5 + level / 2)
    middle = np.sqrt(common) * rng.normal(size=(400, len(counts)))
    apart = np.sqrt(1 - common)
    held = rng.binomial(counts, ndtr((reach - middle) / apart) - ndtr((-reach - middle) / apart)) / counts
    return common, float(((held >= low) & (held <= high)).mean())


def widths(rows: pd.DataFrame) -> dict[str, float]:
    """Return the mean width of 80 percent intervals (logs), families alike: ours and the simple methods', calibrated."""
    alone = rows[(rows["others"] == 0) & rows[LAST].notna()]
    found = {"this forecaster": float(alone.groupby(["family", "share"])["width"].mean().mean())}
    for name in SIMPLE:
        total = []
        for (source, share), _ in alone.groupby(["source", "share"]):
            others = alone[(alone["source"] != source) & (alone["share"] == share)]
            weight = 1 / others["family"].map(others["family"].value_counts())
            miss = others["truth"] - others[name]
            order = np.argsort(miss.to_numpy())
            place = np.cumsum(weight.to_numpy()[order]) / weight.sum()
            low, high = np.interp((0.1, 0.9), place, miss.to_numpy()[order])
            families = alone[(alone["source"] == source) & (alone["share"] == share)]["family"].nunique()
            total += [high - low] * families
        found[name] = float(np.mean(total))
    return found


def simple_errors(rows: pd.DataFrame, share: float) -> dict[str, float]:
    """Return errors over the last value's, alone and as a mean of families: ours and the simple methods', on the same curves."""
    scored = rows[(rows["others"] == 0) & (rows["share"] == share) & rows[LAST].notna()]
    columns = {"this forecaster": "error", **{name: error_of(name) for name in SIMPLE if name != LAST}}
    sums = scored.groupby("family")[["last_error", *columns.values()]].sum()
    return {name: float((sums[column] / sums["last_error"]).mean()) for name, column in columns.items()}


def no_forecasts(rows: pd.DataFrame) -> tuple[float, int]:
    """Return how often "no forecast" was right, the last value no worse than the fits, and of how many."""
    said = rows[(rows["others"] == 0) & (rows["verdict"] != FORECAST) & rows["known"]]
    right = said["last_error"] <= said["fits_error"] * (1 + 1e-9)
    return float(right.mean()), len(said)
