"""Verdicts in a table: every row against a baseline, and bold for all that may be the best.

What two rows are compared by depends on what is known of them, the strongest way first: groups of seeds
by Welch's test or permutation, single runs with stored scores of the same pairs by McNemar's test, and bare values by
the number of pairs of their evaluation set. Where none of that is known the row says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.frames import Records, is_missing, per_epoch
from analysis.stats import noise
from analysis.stats import significance as sig
from analysis.stats.rate_breaks import rate_breaks
from analysis.tables.summary import at_best_epoch, seed_groups
from analysis.tables.val_images import val_images
from workbench.errors import RecordError, suggestion
from workbench.names import LEARNING_RATE, badness, lower_is_better
from workbench.tracking.pair_scores import comparable_scores
from workbench.tracking.store import Store
from workbench.verification.measures import best_accuracy
from workbench.verification.sorted_scores import SortedScores

PAIRS = {"lfw": 6000, "cfp_fp": 7000, "cfp_ff": 7000, "agedb_30": 6000, "calfw": 6000, "cplfw": 6000}
SEED = 20200101  # of the bootstrap and of permutations: the same records give the same words
PLATEAU_EPOCHS = 5  # fewer after the last break of the learning rate are not a plateau
BASELINE = "the baseline"
UNKNOWN = "not comparable"
OTHER_PAIRS = "other pairs"


class OtherPairs(RecordError):
    """Two rows hold scores of different pairs under one name."""


@dataclass(frozen=True)
class Scores:
    """The stored decisions of one run on one set after `epoch` (0: unknown).

    `right` is bool [P]; `pairs` identifies the set's content.
    """

    right: np.ndarray
    pairs: str
    epoch: int = 0


@dataclass(frozen=True)
class Row:
    """What is known of a table's row: its name, its runs' values of the metric, scores of a single run.

    `pairs` is the number of pairs that the values were measured on, 0 where it is not known.
    """

    name: str
    runs: tuple[str, ...]
    values: tuple[float, ...]
    scores: Scores | None
    pairs: int = 0

    @property
    def value(self) -> float:
        return float(np.mean(self.values))


def read_scores(store: Store, run: str, metric: str, which: str = "best") -> Scores | None:
    """Return a run's right decisions at the best threshold, after its `which` ("best" or "last") epoch.

    None where no scores are stored, or not of every pair; damaged ones are told and count as none.
    """
    kept = comparable_scores(store, run, metric, which)
    return None if kept is None else Scores(decisions(kept.scores, kept.same), kept.pairs, kept.epoch)


def decisions(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return which pairs are decided rightly at the threshold of best accuracy, bool [P]."""
    return (scores >= best_accuracy(SortedScores(scores, same))[1]) == same


def rows_of(
    records: Records, frame: pd.DataFrame, select: str, store: Store, metric: str | None = None
) -> list[Row]:
    """Return what is known of each row of `frame`, a summary of `records` by `select`.

    `metric` is what is judged, at the epoch that `select` chose; `select` itself by default.
    """
    metric = metric or select
    chosen = at_best_epoch(records, select, [metric])
    found = []
    for name, members in zip(frame["run"], seed_groups(records.runs), strict=True):
        runs = tuple(str(records.runs["run"].iloc[member]) for member in members)
        values = tuple(float(chosen[metric].iloc[member]) for member in members)
        folded = records.folded.get(runs[0], {}).get(metric)
        if folded is not None:
            scores = Scores(folded.right, folded.pairs) if len(runs) == 1 else None
            found.append(Row(str(name), runs, values, scores, len(folded.right)))
            continue
        kept = [read_scores(store, runs[0], metric, which) for which in ("best", "last")]
        epoch = chosen["epoch"].iloc[members[0]]
        # scores of another epoch than the one that the row shows would judge another network
        fitting = (
            [scores for scores in kept if scores and scores.epoch in (0, epoch)] if len(runs) == 1 else []
        )
        pairs = next((len(scores.right) for scores in kept if scores), PAIRS.get(metric, 0))
        pairs = pairs or val_images(records.runs.iloc[members[0]], metric)
        found.append(Row(str(name), runs, values, fitting[0] if fitting else None, pairs))
    return found


def interval(row: Row) -> tuple[float, float]:
    """Return the 95 % interval of a single run's accuracy from its number of pairs; NaN where unknown."""
    if not row.pairs or len(row.values) > 1 or not 0 <= row.value <= 1:
        return np.nan, np.nan
    return sig.accuracy_interval(row.value, row.pairs)


def compare(ours: Row, theirs: Row, metric: str) -> sig.Comparison | None:
    """Compare two rows in the strongest way that their records admit; None where there is none.

    Raises `OtherPairs` where both hold scores, but of different pairs.
    """
    if not (np.isfinite(ours.value) and np.isfinite(theirs.value)):
        return None
    # Anew for each pair of rows: a verdict must not depend on which rows stand above it.
    rng = np.random.default_rng(SEED)
    if min(len(ours.values), len(theirs.values)) > 1:
        return sig.between_seeds(ours.values, theirs.values, rng)
    if max(len(ours.values), len(theirs.values)) > 1:
        return None  # one seed says nothing of the spread between seeds
    if ours.scores is not None and theirs.scores is not None:
        if ours.scores.pairs != theirs.scores.pairs:
            raise OtherPairs(
                f"{ours.name} and {theirs.name} hold scores of different pairs under the name {metric!r}",
                do="compare runs that were evaluated on one set",
            )
        found, low, high = sig.paired_bootstrap(ours.scores.right, theirs.scores.right, rng)
        return sig.Comparison(
            found, low, high, sig.mcnemar(ours.scores.right, theirs.scores.right), "McNemar"
        )
    pairs, other = ours.pairs or theirs.pairs, theirs.pairs or ours.pairs
    shares = all(0 <= row.value <= 1 for row in (ours, theirs))  # a record of elsewhere may say anything
    return sig.unpaired(ours.value, theirs.value, pairs, other) if pairs and shares else None


def find_baseline(rows: Sequence[Row], words: Sequence[str]) -> Row:
    """Return the row that the user calls the baseline: by its name or the beginning of one of its runs."""
    if len(words) != 1:
        raise RecordError(f"{len(words)} baselines: {', '.join(words)}", expected="one")
    found = [row for row in rows if row.name == words[0]]
    found = found or [row for row in rows if any(run.startswith(words[0]) for run in row.runs)]
    if not found:
        raise RecordError(
            f"no row {words[0]!r}", where="--baseline", do=suggestion(words[0], [r.name for r in rows])
        )
    if len(found) > 1:
        raise RecordError(
            f"{words[0]!r} is {len(found)} rows", where="--baseline", do="give the run's own name"
        )
    return found[0]


def with_verdicts(
    frame: pd.DataFrame, rows: Sequence[Row], metric: str, baseline: Row, strict: bool = True
) -> pd.DataFrame:
    """Return `frame` with the verdict of every row against `baseline`, and what it rests on.

    Columns: `low` and `high`, the 95 % interval of the value from its number of pairs; `difference` with
    its interval `from` and `to`; `p` after Holm's correction; `test`; `verdict`.
    Raises `OtherPairs` for scores of different pairs, unless not `strict`: then the row says so.
    """
    compared = [None if row is baseline else _compared(row, baseline, metric, strict) for row in rows]
    said = sig.verdicts(compared, lower_is_better(metric))
    corrected = iter(sig.holm([c.p for c in compared if c is not None]))
    result = frame.copy()
    result["low"], result["high"] = np.array([interval(row) for row in rows]).T
    result["difference"] = [np.nan if c is None else c.difference for c in compared]
    result["from"] = [np.nan if c is None else c.low for c in compared]
    result["to"] = [np.nan if c is None else c.high for c in compared]
    result["p"] = [np.nan if c is None else next(corrected) for c in compared]
    result["test"] = ["" if c is None else c.method for c in compared]
    result["verdict"] = [
        BASELINE if row is baseline else _why_not(row, baseline, metric) if c is None else word
        for row, c, word in zip(rows, compared, said)
    ]
    return result


def _compared(ours: Row, theirs: Row, metric: str, strict: bool = False) -> sig.Comparison | None:
    try:
        return compare(ours, theirs, metric)
    except OtherPairs:
        if strict:
            raise
        return None


def _why_not(row: Row, baseline: Row, metric: str) -> str:
    if not np.isfinite(row.value) or not np.isfinite(baseline.value):
        return f"{UNKNOWN} (no {metric})"
    if len(row.values) != len(baseline.values) and min(len(row.values), len(baseline.values)) == 1:
        return f"{UNKNOWN} (one seed)"
    if row.scores and baseline.scores and row.scores.pairs != baseline.scores.pairs:
        return f"{UNKNOWN} ({OTHER_PAIRS})"
    return f"{UNKNOWN} (number of pairs unknown)"


def unknown_rows(rows: Sequence[Row], metric: str, other: Row) -> int:
    """Return how many of the rows cannot be compared with `other`."""
    return sum(row is not other and _compared(row, other, metric) is None for row in rows)


def best_first(values: pd.Series, metric: str) -> list[int]:
    """Return the positions of all `values` of `metric`, the best first, missing ones last."""
    # NumPy's order, not the column's: pandas 2 gives a missing value the position -1.
    order = np.argsort(badness(values.to_numpy("float64"), lower_is_better(metric)), kind="stable")
    return [int(position) for position in order]


def best_rows(rows: Sequence[Row], metric: str) -> list[int]:
    """Return the positions of the best row and of all that are not distinguishable from it.

    A row that cannot be compared with the best is not among them unless it has the same value.
    """
    lower = lower_is_better(metric)
    finite = [position for position, row in enumerate(rows) if np.isfinite(row.value)]
    if not finite:
        return []
    top = min(finite, key=lambda position: badness(rows[position].value, lower))
    others = [position for position in finite if position != top]
    compared = [_compared(rows[position], rows[top], metric) for position in others]
    words = sig.verdicts(compared, lower)
    same = [
        position
        for position, comparison, word in zip(others, compared, words)
        if word == sig.SAME or (comparison is None and rows[position].value == rows[top].value)
    ]
    return sorted([top, *same])


def optimism(records: Records, rows: Sequence[Row], metric: str) -> float:
    """Return by how much choosing the best epoch on `metric` itself lifts it through noise, on average.

    Each run's noise comes from the neighbouring differences of its last plateau (its last stage, after the
    last break of its learning rate), over whose epochs the largest is taken; NaN where no run has three
    epochs of a plateau to tell.
    """
    shown = {run for row in rows for run in row.runs}
    rates = dict(
        iter(
            per_epoch(records.epochs[records.epochs["metric"] == LEARNING_RATE]).groupby("run", observed=True)
        )
    )
    measured = records.epochs[records.epochs["metric"] == metric]
    found = []
    for run, own in measured.groupby("run", observed=True):
        last = _last_plateau(own.sort_values(["epoch", "step"], kind="stable"), rates.get(run))
        deviation = noise.of_plateau(last)
        if run in shown and not is_missing(deviation):
            found.append(sig.optimism(deviation, len(last)))
    return float(np.mean(found)) if found else np.nan


def _last_plateau(own: pd.DataFrame, rates: pd.DataFrame | None) -> np.ndarray:
    """Return the values of one run (in order) since its last stage or break of the learning rate began."""
    stage = own[own["stage"] == own["stage"].max()]
    breaks = rate_breaks(rates.sort_values("epoch")) if rates is not None else set()
    values: np.ndarray = stage["value"][stage["epoch"] >= max(breaks, default=0)].to_numpy(float)
    # a rate that falls all the time ends in steps that look like breaks: then the stage tells more
    return values if len(values) >= PLATEAU_EPOCHS else stage["value"].to_numpy(float)


def optimism_note(records: Records, rows: Sequence[Row], select: str, metric: str) -> str:
    """Return the line on what choosing the epoch did to `metric`; empty where nothing is known."""
    if select != metric:
        return f"the epochs were chosen on {select}, so {metric} is free of the optimism of that choice"
    amount = optimism(records, rows, metric)
    if is_missing(amount):
        return ""
    return (
        f"choosing the best epoch on {metric} itself {'lowers' if lower_is_better(metric) else 'adds'} "
        f"about {amount:.4f} by noise alone (expected largest of its last plateau's epochs); "
        "--select another set avoids it"
    )
