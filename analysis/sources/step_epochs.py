"""Steps of other programs as epochs: TensorBoard and MLflow keep a step with each value, and may mean anything by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.frames import INFERRED, MEASURED, Notes
from analysis.sources.epoch_table import EPOCH, FRACTION, Table, axis_of, shift_of

# Steps and values by metric, in the order of their times.
Points = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass
class Steps:
    """How another program's steps become epochs: `epochs` of the `known` steps, and of what kind that is."""

    known: np.ndarray
    epochs: np.ndarray
    kind: str
    left_out: tuple[str, ...]  # metrics that are the epoch itself
    numbered: tuple[str, ...]  # metrics whose values have no steps: their order counts

    def of(self, metric: str, steps: np.ndarray) -> np.ndarray:
        """Return the epochs of a metric's values."""
        if metric in self.numbered:
            return np.arange(1, len(steps) + 1)
        return self.epochs[np.minimum(np.searchsorted(self.known, steps), len(self.known) - 1)]

    def kind_of(self, metric: str) -> str:
        return INFERRED if metric in self.numbered else self.kind


def steps_as_epochs(points: Points, notes: Notes, epochs_from: int | None = None) -> Steps:
    """Say how the steps of another program's run become epochs.

    A metric `epoch` says it (Lightning); steps that count one by one are epochs; others, such as steps of
    training or milliseconds, are inferred. Values that all have step 0 were logged without one.
    """
    numbered = tuple(n for n, (steps, _) in points.items() if len(steps) > 1 and not np.any(steps))
    marks = {n: own for n, own in points.items() if EPOCH.fullmatch(n.strip()) and n not in numbered}
    usual = {n: own[0] for n, own in points.items() if n not in marks and n not in numbered and len(own[0])}
    if numbered:
        notes.add("values without steps: numbered in their order (inferred)")
    known = np.unique(np.concatenate(list(usual.values()))) if usual else np.zeros(1, "int64")
    epochs, kind = epochs_at(known, usual, marks.values(), notes, epochs_from)
    return Steps(known, epochs, kind, tuple(marks), numbered)


def epochs_at(
    known: np.ndarray,
    steps_of: Mapping[str, np.ndarray],
    marks: Collection[tuple[np.ndarray, np.ndarray]],
    notes: Notes,
    epochs_from: int | None,
) -> tuple[np.ndarray, str]:
    """Return the epoch of each of the `known` steps (ascending, each once), and whether that is MEASURED or INFERRED.

    `steps_of` are the steps at which each metric has a value, `marks` (steps, epochs) where a run says them itself.
    """
    columns, present = {"step": known.astype("float64")}, {"step": np.ones(len(known), bool)}
    for name, own in steps_of.items():
        present[name] = np.isin(known, own)
        columns[name] = np.where(present[name], 0.0, np.nan)
    for own, epochs in marks:
        columns["epoch"] = np.full(len(known), np.nan)
        columns["epoch"][np.searchsorted(known, own).clip(max=len(known) - 1)] = epochs
        present["epoch"] = ~np.isnan(columns["epoch"])
    axis = axis_of(Table(columns, present, np.full(len(known), -1)), notes)
    whole = np.ceil(axis.epochs - FRACTION).astype("int64") + shift_of(axis, notes, epochs_from)
    return np.maximum(whole, 1), MEASURED if axis.counted else INFERRED
