"""The forecaster's own record on finished runs, beside other methods', so that nobody has to believe it.

Every finished curve is forecast from parts of itself: with the other runs as prior (never the run itself),
and without any. Reported are the mean absolute error of the final value and of the whole rest, how often
the intervals held, and the Brier score of "ends better than run X" over all other runs X (a method that
names a number says 0 or 1). A forecast that says "no forecast" is scored as what it then shows, the last value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.forecast import classic
from analysis.forecast.baselines import slope
from analysis.forecast.cross_run_prior import CrossRunPrior
from analysis.forecast.curve import LOSS, Curve, Refused, kind_of, prepare
from analysis.forecast.ensemble import BY_RATE, fit_ensemble
from analysis.forecast.families import FAMILIES
from analysis.forecast.forecaster import Forecast, forecast
from analysis.forecast.settings import DEFAULT, Settings
from workbench.errors import DataError, RecordError
from workbench.names import badness, lower_is_better

Array = np.ndarray
SHARES = (0.25, 0.5, 0.75)
WITH, WITHOUT = "this forecaster, other runs as prior", "this forecaster, no prior"
LAST, BEST_FAMILY = "last value", "best single family in hindsight"
CLASSIC = {
    "by hand: cubic": "cubic",
    "by hand: ratio of differences": "ratio",
    "by hand: closed form": "closed",
    "by hand: a*exp(-b*x)+c": "exponential",
}
POWER_LAWS = {"power law, 4 parameters": True, "power law, 3 parameters": False}
AT_LEAST = 8  # epochs of a finished curve that is scored


@dataclass(frozen=True)
class Trial:
    """One curve forecast from its first `seen` epochs: the guesses of the rest by every method.

    `covered` says whether the 80 and 50 percent intervals hold the final value, `chances` are those of ending better
    than each other run, `beaten` (0 or 1) which of them it did.
    """

    curve: Curve
    seen: int
    truth: Array
    guesses: dict[str, Array]
    covered: dict[str, tuple[bool, bool]]
    chances: dict[str, Array]
    beaten: Array


@dataclass(frozen=True)
class Score:
    """A method's record from one share of the curves; errors are mean absolute ones, `ratio`s to last value's.

    `coverage80` is the share of finals within their 80 percent interval.
    """

    share: float
    method: str
    final: float
    rest: float
    ratio: float
    rest_ratio: float
    coverage80: float | None
    coverage50: float | None
    brier: float
    curves: int


def score(
    curves: Sequence[Curve], shares: Sequence[float] = SHARES, settings: Settings = DEFAULT
) -> list[Score]:
    """Return the records of all methods from all `shares` of finished curves of one metric.

    Raises `RecordError` when no curve is long enough to be scored.
    """
    found = []
    for share in shares:
        done = trials(curves, share, settings)
        if not done:
            raise RecordError(
                "no finished run can be scored", expected=f"{AT_LEAST} or more epochs of one metric"
            )
        found += summarise(done, share)
    return found


def trials(curves: Sequence[Curve], share: float, settings: Settings = DEFAULT) -> list[Trial]:
    """Forecast every curve from its first `share` (at least four epochs), by every method."""
    # Whole and finite curves only: what a forecast missed can be said only where the truth is known.
    usable = [curve for curve in curves if len(curve.values) >= AT_LEAST and np.isfinite(curve.values).all()]
    # One group for all: it leaves the run in question out itself, and keeps the others' forecasts between trials.
    group, found = CrossRunPrior(usable, settings), []
    for curve in usable:
        seen = max(settings.fewest, round(share * len(curve.values)))
        trial = _trial(curve, seen, group, usable, settings)
        if trial is not None:
            found.append(trial)
    return found


def _trial(
    curve: Curve, seen: int, group: CrossRunPrior, curves: Sequence[Curve], settings: Settings
) -> Trial | None:
    values = np.asarray(curve.values, dtype=float)
    # Cut before anything sees it, and forecast to its own last epoch, where the truth is known.
    known, end = curve.until(curve.first + seen - 1), curve.last
    forecasts = {
        WITH: forecast(known, end, group, settings),
        WITHOUT: forecast(known, end, (), settings),
    }
    truth = values[seen:]
    # Other curves of the same run are nothing to beat: their end is nearly this one's.
    finals = np.array([other.values[-1] for other in curves if other is not curve and other.run != curve.run])
    lower = lower_is_better(curve.metric)
    guesses = {name: _median_or_last(one, values[:seen], len(truth)) for name, one in forecasts.items()}
    # Every method gets the same past and is scored on the same rest, also where it only repeats the last
    # value.
    guesses |= other_methods(values[:seen], len(truth), kind_of(curve.metric))
    guesses |= _single_families(known, end, len(truth), settings)
    chances = {name: _yes_or_no(guess[-1], finals, lower) for name, guess in guesses.items()}
    chances |= {
        name: np.array([one.chance(final) for final in finals])
        for name, one in forecasts.items()
        if one.known
    }
    covered = {name: _covered(one, truth[-1]) for name, one in forecasts.items() if one.known}
    beaten = (badness(truth[-1], lower) < badness(finals, lower)).astype(float)
    return Trial(curve, seen, truth, guesses, covered, chances, beaten)


def _median_or_last(made: Forecast, seen: Array, count: int) -> Array:
    """Return a forecast of `count` epochs; the last value where there is none."""
    return made.median if len(made.median) == count else np.full(count, seen[-1])


def _yes_or_no(final: float, others: Array, lower: bool) -> Array:
    """Return 1 for each of the other runs that a guess of the final value beats, 0.5 for a tie."""
    # A number says yes or no; the Brier score of half is neither reward nor punishment for a tie.
    return np.where(final == others, 0.5, badness(final, lower) < badness(others, lower))


def _covered(made: Forecast, final: float) -> tuple[bool, bool]:
    (low80, high80), (low50, high50) = made.interval(0.8), made.interval(0.5)
    return bool(low80[-1] <= final <= high80[-1]), bool(low50[-1] <= final <= high50[-1])


def other_methods(seen: Array, count: int, kind: str) -> dict[str, Array]:
    """Return what the baselines and the classic methods say of the next `count` values.

    Where a method fails or runs off, its last value or the range of the metric is taken: in its favour.
    """
    recent = seen[-5:]
    guesses = {
        LAST: np.full(count, seen[-1]),
        "last slope": seen[-1] + slope(recent) * np.arange(1, count + 1),
    }
    for name, method in CLASSIC.items():
        guesses[name] = _or_last_value(partial(classic.extrapolate, seen, count, method), seen, count)
    for name, shifted in POWER_LAWS.items():
        guesses[name] = _or_last_value(partial(power_law, seen, count, shifted), seen, count)
    # Held to what the metric can be: also what others say, for a reader would do the same.
    top = 1.0 if seen.max() <= 1 else 100.0
    return {name: g if kind == LOSS else np.clip(g, 0.0, top) for name, g in guesses.items()}


def _or_last_value(guess: Callable[[], Array], seen: Array, count: int) -> Array:
    try:
        found = guess()
    except DataError:
        return np.full(count, seen[-1])
    # In its favour: a method that runs off is scored as if somebody had noticed.
    return np.where(np.isfinite(found), found, seen[-1])


def power_law(seen: Array, count: int, shifted: bool = True) -> Array:
    """Continue the least-squares fit of a (x + s)^-b + c, x from 1, b from 0.01 to 5, and s >= 0 or 0 if not `shifted`."""
    from scipy.optimize import curve_fit

    x = np.arange(1.0, len(seen) + 1)
    # Bounded, for without bounds the exponent and the shift trade places and the fit wanders off.
    low, high = [-np.inf, 0.01, -np.inf], [np.inf, 5.0, np.inf]
    start = [seen[0] - seen[-1], 0.7, seen[-1]]
    if shifted:
        low, high, start = [*low, 0.0], [*high, 10.0 * len(seen)], [*start, 1.0]

    def law(x: Array, a: float, b: float, c: float, s: float = 0.0) -> Array:
        return a * (x + s) ** -b + c

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # Of a fit that wanders the result is judged, not the warnings on the way there.
            warnings.simplefilter("ignore")
            found, _ = curve_fit(law, x, seen, p0=start, bounds=(low, high), max_nfev=2000)
    except (RuntimeError, ValueError) as error:
        raise DataError("no power law fits these values") from error
    return law(np.arange(len(seen) + 1.0, len(seen) + count + 1), *found)


def _single_families(known: Curve, end: int, count: int, settings: Settings) -> dict[str, Array]:
    """Return the forecast of each family on its own, under its name behind `BEST_FAMILY`."""
    try:
        prepared = prepare(known, end, settings)
    except Refused:
        return {}
    ensemble = fit_ensemble(prepared, settings)
    return {
        f"{BEST_FAMILY}: {name}": prepared.value(ensemble.pool[k, -1, -count:])
        for k, name in enumerate(ensemble.names)
        if name.removesuffix(BY_RATE) in FAMILIES and len(ensemble.middle) >= count
    }


def summarise(done: Sequence[Trial], share: float) -> list[Score]:
    """Return the records of all methods; of the single families only the one that did best here."""
    names = [name for name in done[0].guesses if not name.startswith(BEST_FAMILY)]
    # Ratios of means, not means of ratios: one curve that hardly moves would outweigh all others.
    base = _errors(done, LAST)
    rows = [_row(done, name, share, base) for name in names]
    families = {name for trial in done for name in trial.guesses if name.startswith(BEST_FAMILY)}
    # A family that failed on some curves would be judged on the easy ones.
    complete = [
        name for name in sorted(families) if sum(name in trial.guesses for trial in done) == len(done)
    ]
    if complete:
        rows.append(min((_row(done, name, share, base) for name in complete), key=lambda row: row.final))
    return rows


def _errors(done: Sequence[Trial], name: str) -> tuple[float, float]:
    misses = [np.abs(trial.guesses[name] - trial.truth) for trial in done]
    return float(np.mean([miss[-1] for miss in misses])), float(np.mean([miss.mean() for miss in misses]))


def _row(done: Sequence[Trial], name: str, share: float, base: tuple[float, float]) -> Score:
    final, rest = _errors(done, name)
    covered = [trial.covered[name] for trial in done if name in trial.covered]
    misses = [np.mean((t.chances[name] - t.beaten) ** 2) for t in done if len(t.beaten)]
    return Score(
        share=share,
        method=name,
        final=final,
        rest=rest,
        ratio=final / base[0] if base[0] > 0 else float("nan"),
        rest_ratio=rest / base[1] if base[1] > 0 else float("nan"),
        coverage80=float(np.mean([each[0] for each in covered])) if covered else None,
        coverage50=float(np.mean([each[1] for each in covered])) if covered else None,
        brier=float(np.mean(misses)) if misses else float("nan"),
        curves=len(done),
    )


def table(rows: Sequence[Score]) -> str:
    """Return the records as Markdown, one table a share, the ratios being those to the last value."""
    parts = []
    for share in dict.fromkeys(row.share for row in rows):
        lines = [
            f"| from {share:.0%} of the curve | final value | ratio | whole rest | ratio | 80 % coverage | Brier |",
            "| --- " * 7 + "|",
        ]
        lines += [_line(row) for row in rows if row.share == share]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Score) -> str:
    coverage = "" if row.coverage80 is None else f"{row.coverage80:.0%}"
    brier = "" if np.isnan(row.brier) else f"{row.brier:.3f}"
    return f"| {row.method} | {row.final:.4f} | {row.ratio:.2f} | {row.rest:.4f} | {row.rest_ratio:.2f} | {coverage} | {brier} |"
