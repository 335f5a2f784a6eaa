"""Whether the curve of a rerun is that of the run: bit for bit, or within what seeds make of it.

Bit-equal where operations are deterministic and the processor is of the same model. Else each value is
held against a band: with at least two other seeds of the same settings, the 99 % prediction interval
m +- t(n-1) s sqrt(1 + 1/n) of their values and the run's own at that epoch (Student's t, n runs); with
fewer, a fixed band of 0.02 for accuracies and 5 % for everything else. The curve matches when at least
95 % of all values lie within.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench import names
from workbench.tracking.rows import EpochRecord
from workbench.tracking.runs import read_states
from workbench.tracking.store import Store

FEWEST_SEEDS = 3  # the run itself and two others
CONFIDENCE = 0.99
WITHIN = 0.95  # share of values
ACCURACY_BAND = 0.02  # absolute
OTHER_BAND = 0.05  # relative
NOT_COMPARED = (names.SECONDS, names.IMAGES_PER_SECOND)

EQUAL, BAND, DIFFERS, NOTHING = "equal", "within the band", "differs", "nothing to compare"
Values = Mapping[tuple[int, str], float]  # by epoch and metric


@dataclass(frozen=True)
class Match:
    """The verdict on a rerun's curve; `first` and `largest` are (metric, epoch, before, now)."""

    verdict: str
    epochs: int = 0
    metrics: tuple[str, ...] = ()
    first: tuple[str, int, float, float] | None = None
    outside: tuple[tuple[str, int, float, float], ...] = ()
    values: int = 0
    band: str = ""
    weights: bool | None = None  # whether the last weights are equal in every bit; None: not compared

    def lines(self) -> list[str]:
        """Return what the screen shows."""
        what = f"{self.epochs} epochs, {len(self.metrics)} metrics"
        weights = {True: "; the weights are equal, too", False: "; the weights differ", None: ""}[
            self.weights
        ]
        if self.verdict == EQUAL:
            return [f"curve: equal, bit for bit ({what}){weights}"]
        if self.verdict == NOTHING:
            return ["curve: nothing to compare: the two have no epoch in common"]
        lines = [f"curve: {self.verdict} ({what}; {self.band}){weights}"]
        if self.first:
            lines.append(f"  first difference: {_in_words(self.first)}")
        lines += [f"  {len(self.outside)} of {self.values} values are outside"] if self.outside else []
        return lines + [f"    {_in_words(found)}" for found in self.outside[:5]]

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values."""
        return {
            "verdict": self.verdict,
            "epochs": self.epochs,
            "metrics": list(self.metrics),
            "values": self.values,
            "outside": len(self.outside),
            "band": self.band,
            "weights_equal": self.weights,
            "first_difference": list(self.first[:2]) if self.first else None,
        }


def _in_words(found: tuple[str, int, float, float]) -> str:
    metric, epoch, before, now = found
    return f"{metric} of epoch {epoch}: {before:.9g} in the record, {now:.9g} now"


def values_of(rows: Iterable[EpochRecord]) -> dict[tuple[int, str], float]:
    """Return the measured values by epoch and metric, without times and forecasts."""
    return {
        (row.epoch, name): value
        for row in rows
        for name, value in row.metrics.items()
        if name not in NOT_COMPARED and not name.startswith(names.FORECAST_PREFIX)
    }


def match(before: Values, now: Values, seeds: Sequence[Values] = (), weights: bool | None = None) -> Match:
    """Return the verdict on `now` against `before`; `seeds` are other runs of the same settings."""
    places = sorted(before.keys() & now.keys())
    if not places:
        return Match(NOTHING)
    epochs, metrics = len({e for e, _ in places}), tuple(sorted({name for _, name in places}))
    odd = [place for place in places if not _equal(before[place], now[place])]
    if not odd and weights is not False:
        return Match(EQUAL, epochs, metrics, values=len(places), weights=weights)
    outside = [place for place in odd if not _within(place, before, now[place], seeds)]
    fits = len(outside) <= (1 - WITHIN) * len(places)
    told = {place: (place[1], place[0], before[place], now[place]) for place in odd}
    return Match(
        BAND if fits else DIFFERS,
        epochs,
        metrics,
        told[odd[0]] if odd else None,
        tuple(told[place] for place in outside),
        len(places),
        band_words(seeds),
        weights,
    )


def band_words(seeds: Sequence[Values]) -> str:
    """Say what band values are held against."""
    if len(seeds) + 1 >= FEWEST_SEEDS:
        return f"band: {CONFIDENCE:.0%} interval of {len(seeds) + 1} seeds"
    return f"band: {ACCURACY_BAND} for accuracies, {OTHER_BAND:.0%} for the rest, as fewer than two other seeds ran"


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _within(place: tuple[int, str], before: Values, value: float, seeds: Sequence[Values]) -> bool:
    if not math.isfinite(value) or not math.isfinite(before[place]):
        return False
    metric, old = place[1], before[place]
    if metric == names.LEARNING_RATE:  # computed, not measured: no seed changes it
        return math.isclose(old, value, rel_tol=1e-6)
    known = [old, *(seed[place] for seed in seeds if math.isfinite(seed.get(place, math.nan)))]
    if len(known) >= FEWEST_SEEDS:
        low, high = interval(known)
        return low <= value <= high
    if names.lower_is_better(metric):
        return abs(value - old) <= OTHER_BAND * max(abs(old), abs(value))
    return abs(value - old) <= ACCURACY_BAND


def interval(known: Sequence[float]) -> tuple[float, float]:
    """Return the prediction interval of one more value beside `known` (two or more)."""
    from scipy import stats

    count, mean = len(known), statistics.fmean(known)
    deviation = statistics.stdev(known) * math.sqrt(1 + 1 / count)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation
    return mean - half, mean + half


def other_seeds(store: Store, identity: str, seed: int) -> list[Values]:
    """Return the curves of finished runs of the same settings with other seeds, one a seed."""
    found: dict[int, Values] = {}
    for state in read_states(store):
        start = state.start
        if start is None or state.status != names.FINISHED or names.TAG_RERUN in start.tags:
            continue
        if start.id == identity and start.seed != seed:
            found[start.seed] = values_of(state.journal.accepted())
    return list(found.values())


def weights_equal(store: Store, one: str, other: str) -> bool | None:
    """Tell whether the last checkpoints of two runs hold the same weights; None without two at one step."""
    import numpy as np

    from workbench.train import checkpoint_file

    first, second = (checkpoint_file.newest(store.run_checkpoints(run)) for run in (one, other))
    if first is None or second is None or first.facts.get("step") != second.facts.get("step"):
        return None
    weights = [name for name in first.arrays if name.startswith(("embedder/", "head/"))]
    return all(
        name in second.arrays and np.array_equal(first.arrays[name], second.arrays[name]) for name in weights
    )
