"""What must be said where accuracies of old records or published ones stand beside those of our own runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.frames import Records, is_missing
from analysis.tables.published_file import Published
from workbench.errors import few
from workbench.names import is_evaluation

NOTEBOOK = "Keras_insightface"  # who published, where the numbers are of the notebook's own evaluation
OURS = "runs of the workbench record the exact best, never lower (`workbench verify` prints both)"
TENTH = (
    "the notebook's evaluation, which tries the highest tenth of impostor scores as thresholds (`top_tenth`)"
)
HISTORIES = (
    "two conventions of accuracy: the history {} comes from "
    + TENTH
    + " (if converted from a log of MXNet: the mean of ten folds); "
    + OURS
)
RECORDS = (
    "more than one convention of accuracy: {} was recorded by another program in its own way (logs of MXNet and of "
    "arcface_torch hold the mean of ten folds); runs of the workbench record the best of all thresholds "
    "(`workbench verify` prints both)"
)
PUBLISHED = "two conventions of accuracy: the published ones come from " + TENTH + "; " + OURS


def convention_note(records: Records) -> str | None:
    """Return the line about several conventions of accuracy in one table; None where there is one.

    Old histories are `*_hist.json` files, which say nothing of how they were made, read from where they lie or
    imported into the store before.
    """
    runs = records.runs
    sources = pd.Series([_source(row) for row in runs.to_dict("records")], index=runs.index, dtype=object)
    history = sources.map(lambda source: source is not None and source.endswith(".json")).astype(bool)
    own, said = set(runs["run"][sources.isna()]), []
    for words, others in ((HISTORIES, runs[history]), (RECORDS, runs[sources.notna() & ~history])):
        if _share_a_set(records, own, set(others["run"])):
            said.append(words.format(few(sorted(others["name"].astype(str)))))
    return "; ".join(said) or None


def published_note(theirs: Published, trained: Sequence[str]) -> str | None:
    """Return the same line for published numbers beside those of the variants that were trained here."""
    shared = {metric for name in trained for metric in theirs.runs.get(name, ()) if is_evaluation(metric)}
    return PUBLISHED if NOTEBOOK in theirs.source and shared else None


def _source(run: Mapping[str, Any]) -> str | None:
    """Return the file or address that a run of others was read from; None for a training of ours."""
    named = run["origin"] if is_missing(run["imported_from"]) else run["imported_from"]
    return None if is_missing(named) or not is_missing(run["id"]) else str(named)


def _share_a_set(records: Records, own: set[str], others: set[str]) -> bool:
    return any(
        is_evaluation(str(metric)) and set(runs) & own and set(runs) & others
        for metric, runs in records.epochs.groupby("metric", observed=True)["run"]
    )
