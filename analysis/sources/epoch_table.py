"""A table of numbers into runs: which column is the epoch, from where it counts, which rows belong together.

CSV files, lists of objects and JSON lines all end here. What the file says wins: its own epoch numbers, then
its steps, then the order of its rows. What had to be inferred is marked so and reported in one line, with the
option that overrides it. One training is one run: a row whose epoch goes back is a later attempt, whose
rows supersede those that they repeat, and only a table that begins anew from its first epoch is another run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import INFERRED, MEASURED, Notes, RunData
from analysis.sources.values import names_of, run_of
from workbench.names import SECONDS, is_evaluation, words_of
from workbench.names import counts as counts_as_metric

EPOCH = re.compile(
    r"(?:current|trainer?|num|n)?[ _/#]*epochs?(?:[ _]?(?:id|no|num|nr|number|idx|index))?|ep", re.I
)
STEP = re.compile(
    r"_?(?:trainer/|train/|total[ _]|global[ _])*(?:steps?|global_step|iter(?:ation)?s?|num_updates|updates)",
    re.I,
)
INDEX = re.compile(r"(?:unnamed: 0|index)?", re.I)
CLOCK = re.compile(r"_?(?:time|timestamp|wall[ _]?time|date|relative time \(.*\))", re.I)
DURATION = re.compile(
    r"_?(?:(?:train[ _])?(?:epoch[ _])?(?:time|duration|elapsed|runtime)(?:[ _/(]*s(?:ec(?:onds)?)?\)?)?)",
    re.I,
)
HELD_OUT = frozenset(["val", "valid", "validation", "test", "eval", "evaluation", "dev"])
MOST_STEPS_A_VALUE = 10  # steps that are logged more rarely are of training, and no epochs
LARGEST_EPOCH = 10_000_000  # beyond it a number is a time stamp or a count of images, no epoch
FRACTION = 0.005  # fractional epochs are often rounded to two decimals
LONGEST_SECONDS = 1e8  # three years; a time stamp is not a duration
BATCH_PREFIX = "batch_"


@dataclass
class Table:
    """Named columns of numbers, NaN where a cell has none, and which cells there are; a line number a row."""

    columns: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    lines: np.ndarray
    launches: list[int] = field(default_factory=list)  # rows before which the header is repeated

    def rows(self, chosen: np.ndarray) -> Table:
        """Return the table of some rows (a mask, or positions in ascending order)."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Table(columns, {n: there[chosen] for n, there in self.present.items()}, self.lines[chosen])


@dataclass
class Axis:
    """Where each row stands: its epoch as the file counts (NaN if unknown) and its step, if it has one."""

    epochs: np.ndarray
    steps: np.ndarray | None
    used: set[str]
    counted: bool = True  # whether the epochs are the file's own numbers


def runs_of(
    table: Table, path: Path, notes: Notes, name: str, epochs_from: int | None = None
) -> list[RunData]:
    """Return the runs of a table: usually one.

    `epochs_from` is what the file calls its first epoch, 0 or 1; None infers it from the numbers.
    """
    axis = axis_of(table, notes)
    shift = shift_of(axis, notes, epochs_from)
    parts = _launches(table, axis, notes)
    found = []
    for run, (rows, attempts) in zip(names_of(name, len(parts)), parts, strict=True):
        data = run_of(path, run)
        _fill(data, table.rows(rows), axis, rows, attempts, shift, notes)
        found.append(data)
    return found


# ---------------------------------------------------------------- the epoch of every row


def axis_of(table: Table, notes: Notes) -> Axis:
    """Find the epoch of every row: of a column, from the steps, or the number of the row."""
    used = {name for name in table.columns if INDEX.fullmatch(name.strip()) or CLOCK.fullmatch(name.strip())}
    steps, step_name = _whole(table, STEP)
    epochs, epoch_name = _whole(table, EPOCH)
    used |= {name for name in table.columns if STEP.fullmatch(name.strip()) or EPOCH.fullmatch(name.strip())}
    if epoch_name is None:
        index = next((name for name in table.columns if INDEX.fullmatch(name.strip())), None)
        if index is not None and steps is None and _ascends_by_one(table.columns[index]):
            epochs, epoch_name = table.columns[index], index
    used -= {name for name in used if DURATION.fullmatch(name.strip()) and not name.startswith("_")}
    if epochs is not None:
        wild = table.present[str(epoch_name)] & ((epochs < 0) | (epochs > LARGEST_EPOCH))
        if wild.all():
            notes.add(f"{epoch_name!r} holds no possible epochs: rows are numbered instead")
            epochs = None
        elif wild.any():
            for line in table.lines[wild].tolist():
                notes.add("an epoch that is not possible: the row is not used", line)
            epochs = np.where(wild, -1.0, epochs)
    if epochs is None:
        return _without_epochs(table, steps, step_name, used, notes)
    if np.isnan(epochs).any():
        if steps is not None and _has_two_counts(epochs, steps):
            steps = np.where(np.isnan(epochs), np.nan, steps)
            notes.add(
                "rows without an epoch count their steps in another way: they end the epoch before them (inferred)"
            )
            return Axis(pd.Series(epochs).ffill().bfill().to_numpy(), steps, used)
        epochs = _filled(epochs, steps)
        notes.add("rows without an epoch: it is that of the next row that has one (inferred)")
    return Axis(epochs, steps, used)


def _whole(table: Table, pattern: re.Pattern[str]) -> tuple[np.ndarray | None, str | None]:
    """Return the fullest column whose name fits; of equal ones the first."""
    fits = [name for name in table.columns if pattern.fullmatch(name.strip()) and table.present[name].any()]
    best = max(fits, key=lambda name: int(table.present[name].sum()), default=None)
    return (None, None) if best is None else (table.columns[best], best)


def _ascends_by_one(values: np.ndarray) -> bool:
    return bool(
        len(values) and not np.isnan(values).any() and (np.diff(values) == 1).all() and values[0] in (0, 1)
    )


def _has_two_counts(epochs: np.ndarray, steps: np.ndarray) -> bool:
    """Tell rows without an epoch whose steps go back each time while those of the others go on (mmengine's `scalars.json`
    counts epochs as the steps of evaluations)."""
    there = ~np.isnan(epochs) & ~np.isnan(steps)
    before = np.maximum.accumulate(np.where(there, steps, -1.0))
    odd = np.isnan(epochs) & ~np.isnan(steps) & (before >= 0)
    return bool(odd.any() and (steps[odd] < before[odd]).all() and (np.diff(steps[there]) > 0).all())


def _filled(epochs: np.ndarray, steps: np.ndarray | None) -> np.ndarray:
    """Give rows without an epoch that of the next row (by step, where there are steps) that has one."""
    order = (
        np.arange(len(epochs)) if steps is None else np.argsort(np.nan_to_num(steps, nan=-1), kind="stable")
    )
    result = epochs.copy()
    result[order] = pd.Series(epochs[order]).bfill().ffill()
    return result


def _without_epochs(
    table: Table, steps: np.ndarray | None, step_name: str | None, used: set[str], notes: Notes
) -> Axis:
    """Number the rows, or count evaluations where steps of training lie between them."""
    size = len(table.lines)
    if steps is None or np.isnan(steps).all():
        notes.add("no epoch in the file: a row is taken for an epoch, from 1 on (inferred)")
        return Axis(np.arange(1.0, size + 1), None, used, counted=False)
    known = np.unique(steps[~np.isnan(steps)])
    if known[-1] < MOST_STEPS_A_VALUE * len(known):
        if (np.diff(known) > 1).any():
            notes.add(f"no epoch in the file: {step_name!r} is taken for it (inferred)")
        return Axis(steps, None, used, counted=True)
    ends = np.zeros(size, dtype=bool)
    rare = [name for name in table.columns if name not in used and table.present[name].sum() < 0.6 * size]
    evaluations = [name for name in rare if _is_held_out(name)]
    for name in evaluations or [name for name in rare if is_evaluation(name)]:
        ends |= table.present[name]
    marks = np.unique(steps[ends]) if ends.any() else known
    epochs = np.minimum(np.searchsorted(marks, np.nan_to_num(steps, nan=marks[0])), len(marks) - 1) + 1.0
    what = "evaluations are taken for the ends of epochs" if ends.any() else "a step is taken for an epoch"
    notes.add(f"no epoch in the file, only {step_name!r}: {what} (inferred)")
    return Axis(epochs, steps, used, counted=False)


def _is_held_out(name: str) -> bool:
    return not HELD_OUT.isdisjoint(words_of(name))


def shift_of(axis: Axis, notes: Notes, epochs_from: int | None) -> int:
    """Return what makes the file's epochs 1-based: 1 where it counts from 0."""
    known = axis.epochs[axis.epochs >= 0]
    if not axis.counted or not known.size:
        return 0
    if epochs_from is not None:
        return 1 - epochs_from
    first = float(known.min())
    if (known != np.floor(known)).any():  # fractional epochs say how far the training is
        return 0
    if first > 1:
        notes.add(
            f"the first epoch is {first:g}: taken as counted from 0, as Keras does (inferred; --epochs-from 1 says else)"
        )
    return 0 if first == 1 else 1


# ---------------------------------------------------------------- one training, its attempts, other launches


def _launches(table: Table, axis: Axis, notes: Notes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows, attempt of each row) of each run in the table."""
    rows = np.flatnonzero(axis.epochs >= 0)
    epochs = axis.epochs[rows]
    steps = None if axis.steps is None else axis.steps[rows]
    within = _several_rows_an_epoch(table, axis, rows)
    goes_back = np.diff(epochs) < 0
    if within:
        goes_back |= False if steps is None else np.nan_to_num(np.diff(steps), nan=0.0) < 0
    else:
        goes_back |= np.diff(epochs) == 0
    kept: list[list[int]] = [[]]
    attempts: list[list[int]] = [[]]
    attempt, before = 1, 0
    for position in (np.flatnonzero(goes_back) + 1).tolist() + [len(rows)]:
        kept[-1] += rows[before:position].tolist()
        attempts[-1] += [attempt] * (position - before)
        before = position
        if position == len(rows):
            continue
        row = int(rows[position])
        if (
            not within
            and kept[-1]
            and axis.epochs[row] == axis.epochs[kept[-1][-1]]
            and _equal(table, kept[-1][-1], row)
        ):
            notes.add("a row that repeats the one before, not used", int(table.lines[row]))
            before = position + 1
        else:
            attempt = _back(table, axis, kept, attempts, row, attempt, notes)
    return [(np.array(own, dtype=int), np.array(of)) for own, of in zip(kept, attempts, strict=True) if own]


def _several_rows_an_epoch(table: Table, axis: Axis, rows: np.ndarray) -> bool:
    """Tell a table that logs within epochs: most rows repeat the epoch before, or rows complement each other."""
    same = np.diff(axis.epochs[rows]) == 0
    if axis.steps is not None or (axis.epochs[rows] != np.floor(axis.epochs[rows])).any():
        return True
    if not same.any():
        return False
    names = [name for name in table.columns if name not in axis.used]
    cells = np.array([table.present[name][rows] for name in names])
    overlaps = (cells[:, 1:] & cells[:, :-1]).any(axis=0)[same]
    return bool(not overlaps.any() or same.mean() > 0.5)


def _back(
    table: Table,
    axis: Axis,
    kept: list[list[int]],
    attempts: list[list[int]],
    row: int,
    attempt: int,
    notes: Notes,
) -> int:
    """Open another run where the epochs begin anew, else drop what the row supersedes; return the attempt."""
    line, epoch = int(table.lines[row]), axis.epochs[row]
    own = kept[-1]
    if epoch == axis.epochs[own[0]] and epoch < axis.epochs[own[-1]] and not _same_step_axis(axis, own, row):
        notes.add("epochs begin anew: another run", line)
        kept.append([])
        attempts.append([])
        return 1
    step = None if axis.steps is None else axis.steps[row]
    while own and _superseded(axis, own[-1], epoch, step):
        notes.add(
            "a row that a later one supersedes (resumed training), not used", int(table.lines[own.pop()])
        )
        attempts[-1].pop()
    return attempt + 1


def _equal(table: Table, one: int, other: int) -> bool:
    rows = np.array([values[[one, other]] for values in table.columns.values()])
    return np.array_equal(rows[:, 0], rows[:, 1], equal_nan=True)


def _same_step_axis(axis: Axis, own: list[int], row: int) -> bool:
    """Tell whether a row of the first epoch stands behind some of it by its step: no new beginning."""
    return axis.steps is not None and bool(axis.steps[row] > axis.steps[own[0]])


def _superseded(axis: Axis, row: int, epoch: float, step: float | None) -> bool:
    if step is None or step != step or axis.steps is None or axis.steps[row] != axis.steps[row]:
        return bool(axis.epochs[row] >= epoch)
    return bool(axis.steps[row] >= step)


# ---------------------------------------------------------------- values


def _fill(
    data: RunData, table: Table, axis: Axis, rows: np.ndarray, attempts: np.ndarray, shift: int, notes: Notes
) -> None:
    """Add every column that is a metric: its values, and where a training logs within epochs their means."""
    raw = axis.epochs[rows]
    fractional = bool((raw != np.floor(raw)).any())
    epochs = (np.maximum(np.ceil(raw - FRACTION), 1) if fractional else raw).astype("int64") + shift
    steps = None if axis.steps is None else np.nan_to_num(axis.steps[rows], nan=-1).astype("int64")
    averaged = []
    for name, values in table.columns.items():
        there = table.present[name]
        if name in axis.used or not there.any():
            continue
        columns: dict[str, Any] = {"line": table.lines[there], "attempt": attempts[there]}
        if steps is not None:
            columns["step"] = steps[there]
        metric = name.strip()
        if _is_logged_within(metric, epochs[there]):
            averaged.append(metric)
            data.add(f"{BATCH_PREFIX}{metric}", MEASURED, epochs[there], values[there], **columns)
            _add_means(data, metric, epochs[there], values[there], {**columns})
        else:
            data.add(metric, MEASURED, epochs[there], values[there], **columns)
    if averaged:
        notes.add(f"several values an epoch of {', '.join(averaged)}: an epoch has their mean (inferred)")
    if not axis.counted:
        data.values = [(metric, INFERRED, *rest) for metric, _, *rest in data.values]
    _add_seconds(data, notes)


def _is_logged_within(metric: str, epochs: np.ndarray) -> bool:
    """Tell a measure of training of which most epochs have several values; evaluations and rates keep theirs."""
    if (epochs[1:] > epochs[:-1]).all():
        return False
    _, counts = np.unique(epochs, return_counts=True)
    return bool(np.median(counts) > 1) and counts_as_metric(metric) and not _is_held_out(metric)


def _add_means(
    data: RunData, metric: str, epochs: np.ndarray, values: np.ndarray, columns: dict[str, Any]
) -> None:
    known, position = np.unique(epochs, return_inverse=True)
    finite = ~np.isnan(values)
    count = np.bincount(position[finite], minlength=len(known))
    total = np.bincount(position[finite], values[finite], minlength=len(known))
    with np.errstate(invalid="ignore"):
        means = total / np.where(count, count, np.nan)
    last = len(epochs) - 1 - np.unique(epochs[::-1], return_index=True)[1]
    data.add(metric, INFERRED, known, means, **{name: column[last] for name, column in columns.items()})


def _is_clock(values: np.ndarray) -> bool:
    """Tell times that go on from epoch to epoch, by like steps, from durations that happen to grow."""
    if len(values) < 3 or values[-1] <= 1.8 * values[0]:
        return False
    steps = np.diff(values)
    usual = float(np.median(steps))
    like = float(np.median(np.abs(steps - usual))) < usual / 2
    return bool((steps > 0).mean() > 0.8) and like


def _add_seconds(data: RunData, notes: Notes) -> None:
    """Add the duration of each epoch from a column of times: they are durations, or a clock that goes on."""
    known = {metric: (kind, file, block) for metric, kind, file, block in data.values}
    found = next((name for name in known if DURATION.fullmatch(name)), None)
    if SECONDS in known or found is None:
        return
    kind, _, block = known[found]
    values = block["value"]
    if "runtime" in found and len(values) == 1:  # of the whole training, not of its epochs
        data.facts["seconds"] = float(values[0])
    if len(values) <= data.last_epoch / 2 or "runtime" in found:
        return
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > LONGEST_SECONDS:
        return
    steps = np.diff(values)
    if goes_on := _is_clock(values):
        notes.add(f"{found!r} goes on from epoch to epoch: its differences are the durations (inferred)")
        values = np.concatenate([values[:1], np.where(steps < 0, values[1:], steps)])  # a resumed clock
    columns = {name: column for name, column in block.items() if name not in ("epoch", "value")}
    if len(np.unique(block["epoch"])) == len(block["epoch"]):
        data.add(SECONDS, INFERRED if goes_on else kind, block["epoch"], values, **columns)
        data.facts["seconds"] = float(values.sum())
