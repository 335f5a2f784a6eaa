"""What a sweep taught: what each setting does, how surely, and what could not be judged.

Trials are compared at an epoch that all of them reached (Hyperband stops most of them early): by their best
value up to it. Where trials differ in one setting alone they are compared in pairs; where there are no
such pairs, or a range is cut into levels, an additive model of all settings stands in (least squares on levels). Both give 95 %
intervals by Student's t, and verdicts are corrected for all comparisons together (Holm, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import Records, best, is_missing
from analysis.stats import significance as sig
from analysis.stats.mean_ci import t_point
from workbench.errors import RecordError, suggestion
from workbench.names import LEARNING_RATE, STAGE, VAL_PREFIX, best_label, is_evaluation, lower_is_better
from workbench.spec.labels import short_names
from workbench.tracking.sweeps import SweepRecord

FEW_VALUES = 6  # a range of which so few values were drawn is compared value by value
LEVELS = 3  # else its range is cut into so many levels
LEAST = 2  # pairs, or trials on a level, without which nothing is said
NOT_JUDGED = "cannot be judged"


@dataclass(frozen=True)
class Trials:
    """The trials of a sweep, side by side: `frame` has a row a trial (chain) with the columns `trial`,
    one for each setting (its value; missing where it did not apply), `value`, `std`, `epochs`, `run`.

    `value` is the best of `metric` up to `epoch`, the mean over a trial's runs. `left_out` counts
    trials that failed or ended before that epoch.
    """

    record: SweepRecord
    frame: pd.DataFrame
    metric: str
    epoch: int
    left_out: int

    @property
    def settings(self) -> list[str]:
        return list(self.record.facts["space"])

    @property
    def lower(self) -> bool:
        return lower_is_better(self.metric)

    @property
    def short(self) -> dict[str, str]:
        """The settings' names as short as is clear."""
        return short_names(self.settings, self.settings)


def trials(
    record: SweepRecord, records: Records, metric: str | None = None, epoch: int | None = None
) -> Trials:
    """Return the trials of a sweep from the frames of its runs.

    `epoch` is by default the last that every completed trial reached. Raises `RecordError` for an
    unknown metric, and where no trial is left.
    """
    metric = metric or record.objective
    known = [name for name in records.epochs["metric"].unique() if name not in (STAGE, LEARNING_RATE)]
    if metric not in known:
        raise RecordError(f"no metric {metric!r}", do=suggestion(metric, known))
    chains = {trial.request.chain: trial for trial in record.trials if trial.status == "completed"}
    if not chains:
        raise RecordError("no trial succeeded", where=f"sweep {record.name}", do="`workbench list` says why")
    reached = {name: trial.request.epochs for name, trial in chains.items()}
    epoch = epoch or min(reached.values())
    reached_by_then = best(records.epochs[records.epochs["epoch"] <= epoch], metric).set_index("run")["value"]
    rows = []
    for name, trial in chains.items():
        values = [reached_by_then[run] for run in trial.request.runs if run in reached_by_then]
        if reached[name] < epoch or len(values) < len(trial.request.runs):
            continue
        settings = {setting: trial.request.settings.get(setting) for setting in record.facts["space"]}
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        rows.append(
            {
                "trial": name,
                **settings,
                "value": float(np.mean(values)),
                "std": std,
                "epochs": reached[name],
                "run": trial.request.runs[0],
            }
        )
    if not rows:
        raise RecordError(
            f"no trial reached epoch {epoch}", do=f"give an epoch up to {max(reached.values())}"
        )
    began = len({trial.request.chain for trial in record.trials})
    return Trials(record, pd.DataFrame(rows), metric, epoch, began - len(rows))


# ---------------------------------------------------------------- levels


def levels(data: Trials, setting: str) -> tuple[list[str], pd.Series]:
    """Return the levels of a setting in order, and each trial's level (missing where it does not apply).

    Few values are levels themselves; of many values of a range, its thirds are, on its own scale.
    """
    facts, column = data.record.facts["space"][setting], data.frame[setting]
    seen = [value for value in dict.fromkeys(column) if not is_missing(value)]
    if "values" in facts or len(seen) <= FEW_VALUES:
        order = [value for value in facts.get("values", sorted(seen)) if value in seen]
        texts = [text_of(value) for value in order]
        return texts, column.map(dict(zip(order, texts)))
    texts = _thirds(facts)
    found = pd.Series([texts[code] for code in _third(facts, column.to_numpy(float))], index=column.index)
    return texts, found.where(~column.map(is_missing))


def _thirds(facts: Any) -> list[str]:
    return [_range_text(facts, low, high) for low, high in pairwise(borders(facts))]


def _third(facts: Any, values: np.ndarray) -> np.ndarray:
    """Return the place among the thirds of a range of each value."""
    return np.clip(np.searchsorted(borders(facts), values, side="right") - 1, 0, LEVELS - 1)


def borders(facts: Any) -> np.ndarray:
    """Return the borders of a range's levels; where it has steps, the values that begin a level."""
    low, high = float(facts["min"]), float(facts["max"])
    log = facts.get("sampling") == "log"
    found = np.asarray((np.geomspace if log else np.linspace)(low, high, LEVELS + 1))
    step = _step(facts)
    if step:
        found[1:-1] = low + np.ceil((found[1:-1] - low) / step - 1e-9) * step
    return found


def _step(facts: Any) -> float:
    """Return the distance of a range's values, 0 where they have none (or it grows, as in a stepped log range)."""
    if facts.get("sampling") == "log" and facts["step"]:
        return 0.0
    return float(facts["step"] or (1 if facts["kind"] == "Int" else 0))


def _range_text(facts: Any, low: float, high: float) -> str:
    """Return a level's first and last value; a level of a range without steps ends where the next begins."""
    step = _step(facts)
    last = high - step if step and high < facts["max"] else high
    whole = facts["kind"] == "Int"
    return " to ".join(text_of(round(value) if whole else float(value)) for value in (low, last))


def text_of(value: Any) -> str:
    """Return a setting's value for a person."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# ---------------------------------------------------------------- effects


@dataclass
class Effect:
    """What a level of a setting does against the setting's first level (or the base's value).

    `low` and `high` bound the effect with 95 %, `count` is that of pairs or trials, `by` says which ("pairs" or
    "model"), `verdict` is better, worse, indistinguishable, or why it cannot be judged.
    """

    setting: str
    level: str
    against: str
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    by: str = ""
    verdict: str = ""


def effects(data: Trials) -> pd.DataFrame:
    """Return the effect of each level of each setting, in columns as `Effect` names them."""
    model = Additive(data)
    rows: list[Effect] = []
    comparisons: list[sig.Comparison | None] = []
    for setting in data.settings:
        names, column = levels(data, setting)
        reference = _reference(data, setting, names)
        for level in names:
            if level == reference:
                continue
            found, count, by = _compare(data, model, setting, column, level, reference)
            comparisons.append(found)
            row = Effect(setting, level, reference, count=count, by=by)
            if found:
                row.effect, row.low, row.high = found[:3]
            else:
                row.verdict = _why_not(column, level, reference, count)
            rows.append(row)
        if len(names) < 2:
            only = f"only {names[0]} was tried" if names else "no trial had it"
            rows.append(Effect(setting, "".join(names), "", verdict=f"{NOT_JUDGED}: {only}"))
            comparisons.append(None)
    for row, verdict in zip(rows, sig.verdicts(comparisons, data.lower), strict=True):
        row.verdict = verdict or row.verdict
    return pd.DataFrame([asdict(row) for row in rows])


def _reference(data: Trials, setting: str, names: list[str]) -> str:
    """Return the level that others are compared with: that of the base's value if it was tried, else the first."""
    facts, base = data.record.facts["space"][setting], data.record.facts.get("base", {}).get(setting)
    wanted = [] if base is None else [text_of(base)]
    if "min" in facts and isinstance(base, (int, float)) and facts["min"] <= base <= facts["max"]:
        wanted.append(_thirds(facts)[int(_third(facts, np.array([base]))[0])])
    return next((name for name in names if name in wanted), names[0] if names else "")


def _why_not(column: pd.Series, level: str, reference: str, count: int) -> str:
    few = {name: int((column == name).sum()) for name in (level, reference)}
    short = [f"{number} of {name}" for name, number in few.items() if number < LEAST]
    if short:
        return f"{NOT_JUDGED}: {' and '.join(short)}" + (f", {count} pair" if count else "")
    return f"{NOT_JUDGED}: too few trials to tell it from the other settings"


def _compare(
    data: Trials, model: Additive, setting: str, column: pd.Series, level: str, reference: str
) -> tuple[sig.Comparison | None, int, str]:
    """Return the comparison (None: there is too little), how many pairs or trials it has, and by what."""
    # Thirds of a range.
    cut = not column.dropna().isin([text_of(value) for value in data.frame[setting]]).all()
    differences = [] if cut else pairs(data, setting, column, level, reference)
    if len(differences) >= LEAST:
        return paired(differences), len(differences), "pairs"
    found = model.compare(setting, level, reference)
    if found is None:
        return None, len(differences), "pairs"
    return found, int(column.isin([level, reference]).sum()), "model"


def pairs(data: Trials, setting: str, column: pd.Series, level: str, reference: str) -> list[float]:
    """Return the differences of trials that differ in one setting alone, `level` minus `reference`.

    Settings that depend on the compared one do not count as different where one trial lacks them.
    """
    others = [name for name in data.settings if name != setting]
    rows: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for at, value in zip(data.frame.index, data.frame["value"]):
        cells = tuple(
            None if is_missing(data.frame.at[at, name]) else data.frame.at[at, name] for name in others
        )
        rows.setdefault(cells, {}).setdefault(str(column[at]), []).append(float(value))
    return [
        float(np.mean(own[level]) - np.mean(own[reference]))
        for own in rows.values()
        if level in own and reference in own
    ]


def paired(differences: Sequence[float]) -> sig.Comparison:
    """Return the mean of paired differences with its t interval; equal ones are tested by their signs."""
    values = np.asarray(differences, float)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if spread < 1e-12:
        p = sig.sign_test(len(values), 0) if abs(mean) > 1e-12 else 1.0
        return sig.Comparison(mean, mean, mean, p, "pairs")
    return _by_t(mean, spread / math.sqrt(len(values)), len(values) - 1, "pairs")


def _by_t(effect: float, error: float, freedom: int, method: str) -> sig.Comparison:
    """Return an effect of a standard error against 0, by Student's t."""
    from scipy.special import stdtr

    half = t_point(freedom) * error
    p = 2 * float(stdtr(freedom, -abs(effect) / error))
    return sig.Comparison(effect, effect - half, effect + half, p, method)


class Additive:
    """value = mean + one effect a level + noise, over all trials: ordinary least squares.

    An effect is estimable where its contrast lies in the row space of the design; with no more trials
    than effects there is no noise to judge by, and nothing is said.
    """

    def __init__(self, data: Trials) -> None:
        self._columns: dict[tuple[str, str], int] = {}
        parts, self._counts = [np.ones(len(data.frame))], {}
        for setting in data.settings:
            names, column = levels(data, setting)
            for level in names:
                here = (column == level).to_numpy()
                self._counts[setting, level] = int(here.sum())
                self._columns[setting, level] = len(parts)
                parts.append(here.astype(float))
        self._design = np.column_stack(parts)
        values = data.frame["value"].to_numpy(float)
        self._inverse = np.linalg.pinv(self._design.T @ self._design)
        self._fit = self._inverse @ self._design.T @ values
        rank = int(np.linalg.matrix_rank(self._design))
        self.freedom = len(values) - rank
        left = values - self._design @ self._fit
        self.variance = float(left @ left) / self.freedom if self.freedom > 0 else math.nan

    def compare(self, setting: str, level: str, reference: str) -> sig.Comparison | None:
        """Return `level` minus `reference`, None where the trials do not tell."""
        if min(self._counts[setting, name] for name in (level, reference)) < LEAST or self.freedom < LEAST:
            return None
        contrast = np.zeros(self._design.shape[1])
        contrast[self._columns[setting, level]], contrast[self._columns[setting, reference]] = 1, -1
        inside = np.linalg.pinv(self._design) @ self._design
        if not np.allclose(contrast @ inside, contrast, atol=1e-8):
            return None
        effect = float(contrast @ self._fit)
        error = math.sqrt(max(0.0, self.variance * float(contrast @ self._inverse @ contrast)))
        if error < 1e-12:
            return None
        return _by_t(effect, error, self.freedom, "model")


def lines(data: Trials, found: pd.DataFrame) -> list[str]:
    """Return effects as lines: `label_smoothing 0.1: +0.004 (-0.002 to +0.010), 8 pairs: indistinguishable`."""
    short, said = data.short, []
    for row in found.to_dict("records"):
        name = f"{short[row['setting']]} {row['level']}".strip()
        name += f" against {row['against']}" if row["against"] else ""
        if is_missing(row["effect"]):
            said.append(f"{name}: {row['verdict']}")
            continue
        unit = "pairs" if row["by"] == "pairs" else "trials, by the model"
        interval = f"({row['low']:+.4f} to {row['high']:+.4f})"
        said.append(f"{name}: {row['effect']:+.4f} {interval}, {row['count']} {unit}: {row['verdict']}")
    return said


def beyond_chance_alone(found: pd.DataFrame) -> bool:
    """Tell whether some effect's interval leaves 0 out that is not told apart among all comparisons."""
    outside = (found["low"] > 0) | (found["high"] < 0)
    return bool((outside & (found["verdict"] == sig.SAME)).any())


def bests(record: SweepRecord, records: Records) -> list[str]:
    """Return the best value of the objective and of the other measures of held-out data, each with its
    trial and epoch: they need not be of one trial."""
    known = [str(name) for name in records.epochs["metric"].unique()]
    wanted = [n for n in known if n == record.objective or n.startswith(VAL_PREFIX) or is_evaluation(n)]
    chains = {run: trial.request.chain for trial in record.trials for run in trial.request.runs}
    said = []
    for name in wanted:
        rows = best(records.epochs, name)
        rows = rows[rows["metric"] == name]
        if rows.empty:
            continue
        row = rows.loc[best_label(rows["value"], name)]
        word = "lowest" if lower_is_better(name) else "highest"
        said.append(
            f"{word} {name} {row['value']:.4f} (trial {chains[str(row['run'])]}, epoch {row['epoch']})"
        )
    return said
