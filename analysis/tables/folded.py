"""Folds as one result: the runs of an experiment on the sets of an evaluation list become one row.

The numbers are those that View 2 of LFW asks for (Huang et al., technical report 07-49): a fold's pairs are told
by the threshold that is best on the pairs of all other folds, the result is the mean of the folds' accuracies and
its standard error, s / sqrt(n) with s over n - 1. All is taken after the last epoch: choosing an epoch by the very
pairs that are reported would flatter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import INFERRED, Note, Records, RunData, build, concat, is_missing, setting_columns
from workbench import names
from workbench.errors import RecordError
from workbench.spec.labels import value_text
from workbench.tracking.pair_scores import comparable_scores
from workbench.tracking.store import Store
from workbench.verification.folds import cross_validated
from workbench.verification.measures import area, one_class, roc_at
from workbench.verification.sorted_scores import SortedScores

FOLD, FOLD_COUNT, RECIPE, RECIPE_NAME = "fold", "fold.count", "fold.recipe", "fold.name"
LEAST = 2  # folds that give a result: a threshold needs another fold


@dataclass(frozen=True)
class Folded:
    """All pairs of an evaluation set, each scored by the fold that was tested on it.

    `scores` [P], `same` [P] and `fold_of` [P] (0-based); `accuracies` and `thresholds` are by fold, `numbers` the
    folds' own numbers; `right` [P] tells which pairs are decided rightly. `pairs` identifies the sets' content.
    """

    scores: np.ndarray
    same: np.ndarray
    fold_of: np.ndarray
    numbers: tuple[int, ...]
    accuracies: np.ndarray
    thresholds: np.ndarray
    pairs: str

    @property
    def mean(self) -> float:
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        return float(self.accuracies.std(ddof=1) / np.sqrt(len(self.accuracies)))

    @property
    def right(self) -> np.ndarray:
        return (self.scores >= self.thresholds[self.fold_of]) == self.same

    def by_fold(self) -> list[SortedScores]:
        """Return the scores of each fold's own pairs; raises `RecordError` for a fold that lacks one kind of pairs."""
        own = [self.fold_of == fold for fold in range(len(self.numbers))]
        found = [SortedScores(self.scores[here], self.same[here]) for here in own]
        for number, scores in zip(self.numbers, found):
            if why := one_class(scores):
                raise RecordError(why, where=f"fold {number}")
        return found


def groups(runs: pd.DataFrame) -> list[list[int]]:
    """Return the positions of runs that are folds of one experiment with one seed, in the order of folds.

    Of several runs of one fold the newest counts, finished ones before others.
    """
    if RECIPE not in runs:
        return []
    found: dict[Any, dict[int, int]] = {}
    order = runs.assign(done=runs["status"].eq(names.FINISHED)).sort_values(
        ["done", "started"], kind="stable"
    )
    for position, row in order.iterrows():
        if (key := _key(row)) is not None:
            found.setdefault(key, {})[int(row[FOLD])] = int(position)
    first_seen = sorted(found.values(), key=lambda folds: min(folds.values()))
    return [[folds[number] for number in sorted(folds)] for folds in first_seen if len(folds) >= LEAST]


def runs_of(runs: pd.DataFrame) -> dict[str, list[str]]:
    """Return the runs behind each run that `collapsed` makes."""
    rows = [runs.reset_index(drop=True).iloc[members] for members in groups(runs.reset_index(drop=True))]
    return {_title(own): [str(run) for run in own["run"]] for own in rows}


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"folds of {first[RECIPE]} in {first['study']}, seed {value_text(first['seed'])}"


def collapsed(records: Records, store: Store) -> Records:
    """Return the records with the folds of each experiment as one run, which has its last epoch alone.

    Its values are means over the folds; those of evaluation sets whose pairs are scored are what the protocol asks
    for, and stand in `folded` as well. Settings in which folds differ are left out.
    """
    runs = records.runs.reset_index(drop=True)
    together = groups(runs)
    if not together:
        return records
    made, found, notes = [], {}, []
    for members in together:
        data, sets, said = _one(records, runs, members, store)
        made.append(data)
        found[data.run] = sets
        notes += said
    keys = [_key(row) for _, row in runs.iterrows()]
    gone = {keys[members[0]] for members in together}  # an older run of a fold is left out with the others
    rest = records.only(runs["run"][[key is None or key not in gone for key in keys]])
    joined = concat([*([rest] if len(rest.runs) else []), build(made)])
    return replace(joined, notes=(*records.notes, *notes), partial=records.partial, folded=found).by_start()


def _key(row: pd.Series) -> tuple[str, str, str] | None:
    """Return what runs share that are folds of one experiment with one seed; None for a run that is no fold."""
    if is_missing(row[RECIPE]) or is_missing(row[FOLD]):
        return None
    return str(row["study"]), str(row[RECIPE]), value_text(row["seed"])


def _one(
    records: Records, runs: pd.DataFrame, members: Sequence[int], store: Store
) -> tuple[RunData, dict[str, Folded], list[Note]]:
    """Return the folds `members` as one run, its evaluation sets, and what to say of them."""
    rows = runs.iloc[list(members)]
    first, folds = rows.iloc[0], [str(run) for run in rows["run"]]
    recipe = str(first[RECIPE])
    name = recipe if is_missing(first.get(RECIPE_NAME)) else str(first[RECIPE_NAME])
    facts = {
        "id": recipe,
        "name": name,
        "started": rows["started"].min(),
        "seconds": rows["seconds"].sum(min_count=len(rows)),  # of a fold unknown: the whole is, not 0
        "status": next((status for status in rows["status"] if status != names.FINISHED), names.FINISHED),
        **{same: first[same] for same in ("study", "seed", "quick", "origin", "loss_regulariser")},
    }
    data = RunData(_title(rows), facts=facts, settings=_common(rows))
    last = _last_epochs(records.epochs, folds)
    sets = {
        metric: folded
        for metric in last.index
        if (folded := read(store, folds, tuple(int(number) for number in rows[FOLD]), str(metric)))
    }
    where = {"stage": int(last.get(names.STAGE, 1)), "stage_epoch": 1}
    epoch = int(records.epochs[records.epochs["run"].isin(folds)]["epoch"].max())
    derived = {
        f"{metric}{suffix}"
        for metric in sets
        for suffix in (names.THRESHOLD_SUFFIX, names.TENFOLD_SUFFIX, names.TENFOLD_STD_SUFFIX)
    }
    for metric, value in last.items():
        if metric not in derived and metric != names.SECONDS:
            shown = sets[metric].mean if metric in sets else value
            data.add(str(metric), INFERRED, epoch, shown, **where)
    notes = []
    there = min((len(folded.numbers) for folded in sets.values()), default=len(members))
    if there < int(first[FOLD_COUNT]):
        words = f"{there} of {int(first[FOLD_COUNT])} folds: no result of the whole protocol yet"
        notes.append(Note(name, words))
    unfinished = int((rows["status"] != names.FINISHED).sum())
    if unfinished:
        notes.append(Note(name, f"{unfinished} of its folds are not finished"))
    return data, sets, notes


def _common(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the settings that all folds share, what says which fold it is left out."""
    found = {}
    for name in setting_columns(rows):
        values = rows[name].tolist()
        whose = name == FOLD or name.startswith(FOLD + ".")
        if not whose and not is_missing(values[0]) and len({value_text(value) for value in values}) == 1:
            found[name] = values[0]
    return found


def _last_epochs(epochs: pd.DataFrame, runs: Sequence[str]) -> pd.Series:
    """Return the mean over runs of each metric after the runs' last epochs; of speed over all epochs."""
    own = epochs[epochs["run"].isin(runs)]
    latest = own.groupby("run", observed=True)["epoch"].transform("max")
    speed = own[own["metric"] == names.IMAGES_PER_SECOND]
    last = pd.concat([own[(own["epoch"] == latest) & (own["metric"] != names.IMAGES_PER_SECOND)], speed])
    return last.groupby("metric", observed=True, sort=False)["value"].mean()


def read(store: Store, runs: Sequence[str], numbers: Sequence[int], metric: str) -> Folded | None:
    """Return the evaluation of folds on their sets; None where fewer than two keep scores of `metric`."""
    kept = [(n, comparable_scores(store, run, metric, "last")) for n, run in zip(numbers, runs, strict=True)]
    there = [(number, found) for number, found in kept if found is not None]
    if len(there) < LEAST:
        return None
    digest = hashlib.sha256("".join(f"{number} {found.pairs} " for number, found in there).encode())
    return of_scores(
        np.concatenate([found.scores for _, found in there]),
        np.concatenate([found.same for _, found in there]),
        np.repeat(np.arange(len(there)), [len(found.scores) for _, found in there]),
        [number for number, _ in there],
        digest.hexdigest()[:16],
    )


def of_scores(
    scores: np.ndarray, same: np.ndarray, fold_of: np.ndarray, numbers: Sequence[int], pairs: str = ""
) -> Folded:
    """Return the evaluation of scored pairs [P] by folds, each with the threshold that is best on the others."""
    found = cross_validated(scores, same, len(numbers), fold_of)
    return Folded(scores, same, fold_of, tuple(numbers), found.accuracies, found.thresholds, pairs)


def roc_band(folded: Folded, points: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (FAR, TAR, standard error of TAR) [points], the mean over folds of each fold's own curve.

    The rates are evenly spaced in the logarithm, from one impostor pair of a fold on.
    """
    folds = folded.by_fold()
    lowest = 1 / min(fold.impostors for fold in folds)
    curves = [roc_at(fold, points, lowest) for fold in folds]
    tars = np.stack([tar for _, tar in curves])
    return curves[0][0], tars.mean(0), tars.std(0, ddof=1) / np.sqrt(len(folds))


def mean_area(folded: Folded) -> tuple[float, float]:
    """Return the area under the ROC curve, its mean over folds and the standard error of that.

    The area is the chance that a genuine pair scores higher than an impostor pair, ties counting half.
    """
    areas = [area(fold).value for fold in folded.by_fold()]
    return float(np.mean(areas)), float(np.std(areas, ddof=1) / np.sqrt(len(areas)))
