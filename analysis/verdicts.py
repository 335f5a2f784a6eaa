"""Verdicts in a table: every row against a baseline, and bold for all that may be the best.

What two rows are compared by depends on what is known of them, the strongest way first: groups of seeds
by permutation, single runs with stored scores of the same pairs by McNemar's test, and bare values by
the number of pairs of their evaluation set. Where none of that is known the row says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import significance as sig
from analysis.frames import Records, is_missing
from analysis.tables import seed_groups
from workbench.errors import RecordError, suggestion
from workbench.names import lower_is_better
from workbench.tracking.store import Store

PAIRS = {"lfw": 6000, "cfp_fp": 7000, "cfp_ff": 7000, "agedb_30": 6000, "calfw": 6000, "cplfw": 6000}
SEED = 20200101  # of the bootstrap and of permutations: the same records give the same words
BASELINE = "the baseline"
UNKNOWN = "not comparable"


@dataclass(frozen=True)
class Scores:
    """The stored decisions of one run on one set: `right` bool [P]; `pairs` identifies the set's content."""

    right: np.ndarray
    pairs: str


@dataclass(frozen=True)
class Row:
    """What is known of a table's row: its name, its runs' values of the metric, scores of a single run."""

    name: str
    runs: tuple[str, ...]
    values: tuple[float, ...]
    scores: Scores | None

    @property
    def value(self) -> float:
        return float(np.mean(self.values))


def read_scores(store: Store, run: str, metric: str) -> Scores | None:
    """Return a run's right decisions at its best epoch's best threshold; None where none are stored."""
    path = store.run_artifacts(run) / "scores" / "best" / f"{metric}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as kept:
        if "same" not in kept:
            return None
        scores, same, pairs = kept["scores"], kept["same"].astype(bool), str(kept["pairs"])
    return None if not np.isfinite(scores).all() else Scores(decisions(scores, same), pairs)


def decisions(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return which pairs are decided rightly at the threshold of best accuracy, bool [P]."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(same[order])
    right = hits + (~same).sum() - np.arange(1, len(same) + 1) + hits
    right[:-1][ordered[:-1] == ordered[1:]] = -1  # equal scores fall on one side together
    threshold = ordered[int(np.argmax(right))]
    decided: np.ndarray = (scores >= threshold) == same
    return decided


def rows_of(records: Records, frame: pd.DataFrame, select: str, store: Store) -> list[Row]:
    """Return what is known of each row of `frame`, a summary of `records` by `select`."""
    from analysis.frames import best

    chosen = best(records.epochs, select).set_index("run")["value"]
    found = []
    for name, members in zip(frame["run"], seed_groups(records.runs), strict=True):
        runs = tuple(str(records.runs["run"].iloc[member]) for member in members)
        values = tuple(float(chosen.get(run, np.nan)) for run in runs)
        scores = read_scores(store, runs[0], select) if len(runs) == 1 else None
        found.append(Row(str(name), runs, values, scores))
    return found


def compare(ours: Row, theirs: Row, metric: str) -> sig.Comparison | None:
    """Compare two rows in the strongest way that their records admit; None where there is none.

    Raises `RecordError` where both hold scores, but of different pairs.
    """
    if not (np.isfinite(ours.value) and np.isfinite(theirs.value)):
        return None
    rng = np.random.default_rng(SEED)
    difference = ours.value - theirs.value
    if min(len(ours.values), len(theirs.values)) > 1:
        p = sig.permutation(ours.values, theirs.values, rng)
        spread = np.sqrt(sum(np.var(row.values, ddof=1) / len(row.values) for row in (ours, theirs)))
        half = sig.NORMAL_POINT * float(spread)
        return sig.Comparison(difference, difference - half, difference + half, p, "permutation of seeds")
    if max(len(ours.values), len(theirs.values)) > 1:
        return None  # one seed says nothing of the spread between seeds
    if ours.scores is not None and theirs.scores is not None:
        if ours.scores.pairs != theirs.scores.pairs:
            raise RecordError(
                f"{ours.name} and {theirs.name} hold scores of different pairs under the name {metric!r}",
                do="compare runs that were evaluated on one set",
            )
        found, low, high = sig.paired_bootstrap(ours.scores.right, theirs.scores.right, rng)
        return sig.Comparison(
            found, low, high, sig.mcnemar(ours.scores.right, theirs.scores.right), "McNemar"
        )
    pairs = PAIRS.get(metric) or next((len(r.scores.right) for r in (ours, theirs) if r.scores), None)
    return sig.unpaired(ours.value, theirs.value, pairs) if pairs else None


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


def judged(frame: pd.DataFrame, rows: Sequence[Row], metric: str, baseline: Row) -> pd.DataFrame:
    """Return `frame` with `difference`, its interval and the `verdict` of every row against `baseline`."""
    lower = lower_is_better(metric)
    compared = [None if row is baseline else compare(row, baseline, metric) for row in rows]
    said = sig.verdicts(compared, lower)
    result = frame.copy()
    result["difference"] = [np.nan if c is None else c.difference for c in compared]
    result["from"] = [np.nan if c is None else c.low for c in compared]
    result["to"] = [np.nan if c is None else c.high for c in compared]
    result["verdict"] = [
        BASELINE if row is baseline else _why_not(row, baseline) if c is None else word
        for row, c, word in zip(rows, compared, said)
    ]
    return result


def _why_not(row: Row, baseline: Row) -> str:
    if len(row.values) != len(baseline.values) and min(len(row.values), len(baseline.values)) == 1:
        return f"{UNKNOWN} (one seed)"
    return UNKNOWN


def best_rows(rows: Sequence[Row], metric: str) -> list[int]:
    """Return the positions of the best row and of all that are not distinguishable from it.

    A row that cannot be compared with the best is not among them unless it has the same value.
    """
    sign = -1 if lower_is_better(metric) else 1
    finite = [position for position, row in enumerate(rows) if np.isfinite(row.value)]
    if not finite:
        return []
    top = max(finite, key=lambda position: sign * rows[position].value)
    others = [position for position in finite if position != top]
    compared = [compare(rows[position], rows[top], metric) for position in others]
    words = sig.verdicts(compared, lower=sign < 0)
    same = [
        position
        for position, comparison, word in zip(others, compared, words)
        if word == sig.SAME or (comparison is None and rows[position].value == rows[top].value)
    ]
    return sorted([top, *same])


def optimism_notes(records: Records, rows: Sequence[Row], metric: str) -> list[str]:
    """Return a line on what choosing the best epoch on the reported set itself adds through noise."""
    found: list[float] = []
    measured = records.epochs[records.epochs["metric"] == metric]
    for row in rows:
        for run in row.runs:
            own = measured[measured["run"] == run]
            last = own[own["stage"] == own["stage"].max()].sort_values("epoch")["value"].to_numpy(float)
            noise = sig.plateau_noise(last)
            if not is_missing(noise):
                found.append(sig.optimism(noise, len(last)))
    if not found:
        return []
    return [
        f"choosing the best epoch on {metric} itself adds about {np.mean(found):.4f} by noise alone "
        "(expected largest of the last stage's epochs); --select another set avoids it"
    ]
