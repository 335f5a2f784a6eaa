"""Branches with their whole history: the trunk's epochs before their own, marked by attempt 0.

A branch's record begins where it left its trunk and names it. Here its curve gets a beginning, so that a
figure starts at epoch 1 and the best value is that of the whole training, as for a full run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from analysis.frames import Records, concat_epochs
from workbench.errors import RecordError, StoreError

SHARED = 0  # the attempt of an epoch that another run, the trunk, trained


def trunk_text(run: object, epoch: object) -> str:
    """Return how a trunk stands in the `runs` frame and in MLflow's tags: `<run>@80`."""
    return f"{run}@{epoch}"


def continued(records: Records, read: Callable[[Sequence[str]], Records]) -> Records:
    """Return the records with the epochs that branches share with their trunks, each under the branch too.

    `read` returns the records of runs that are not among them, their own trunks included.
    """
    points = [
        (run, *text.rsplit("@", 1))
        for run, text in zip(records.runs["run"], records.runs["trunk"])
        if isinstance(text, str) and "@" in text
    ]
    if not points:
        return records
    known = set(records.runs["run"])
    missing = list(dict.fromkeys(trunk for _, trunk, _ in points if trunk not in known))
    outside = [found for found in (_read(name, read) for name in missing) if found is not None]
    epochs = concat_epochs([records.epochs, *outside])
    # A trunk's own history comes first.
    for run, trunk, last in sorted(points, key=lambda point: int(point[2])):
        shared = epochs[(epochs["run"] == trunk) & (epochs["epoch"] <= int(last))].copy()
        shared["run"] = pd.Categorical([run] * len(shared), categories=[run])
        shared["attempt"] = shared["attempt"].to_numpy() * 0 + SHARED
        epochs = concat_epochs([epochs, shared])
    kept = epochs[epochs["run"].isin(known)].reset_index(drop=True)
    return replace(records, epochs=kept)


def _read(run: str, read: Callable[[Sequence[str]], Records]) -> pd.DataFrame | None:
    """Return the epochs of a trunk; None where its record is in another store or lost."""
    try:
        return read([run]).epochs
    except (RecordError, StoreError):
        return None
