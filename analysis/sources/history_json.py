"""JSON of a training: Keras histories, pandas' `to_json`, lists of objects, `trainer_state.json`, JSON lines.

A history is an object of lists, a number an epoch. Lists of unequal length need the stages: a metric that
exists in one stage (or some) only has a shorter list, which is aligned so that it ends where a stage ends;
where several places fit, the choice is recorded. Without the stages such a file is refused, because a guess
would move values to wrong epochs. A pickled `History.history` is read like one, through the safe reader.
What else there is (objects by epoch, rows) is a table, and read as one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import INFERRED, MEASURED, Note, Notes, RunData
from analysis.sources.epoch_table import EPOCH, Table, runs_of
from analysis.sources.json_forms import FORMS, PLAIN, inner, number, numbers_of, parsed, table_of, text_of
from analysis.sources.lines import decoded
from analysis.sources.options import Options
from analysis.sources.values import run_of
from workbench.errors import RecordError

TRAINER_SETTINGS = (
    "num_train_epochs",
    "max_steps",
    "train_batch_size",
    "logging_steps",
    "eval_steps",
    "save_steps",
)
History = dict[str, list[float]]


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the runs of a file of JSON or of JSON lines, and the remarks.

    Raises `RecordError` for an unreadable file and for lists of unequal length without stages.
    """
    notes = Notes(str(path))
    text = decoded(path)
    content, lines = parsed(text, path, notes)
    return read_content(content, path, notes, options or Options(), text, lines), notes.all()


def read_pickle(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the runs of a pickled `History.history`; nothing in the file is run."""
    from workbench.security.safe_pickle import load

    notes = Notes(str(path))
    return read_content(load(path, dictionaries=True), path, notes, options or Options()), notes.all()


def read_history(path: str | Path) -> History:
    """Return the lists of numbers of a file of JSON by their names; scalars, texts and vectors are left out.

    Raises `RecordError` where the file is missing, is not JSON or holds no list of numbers.
    """
    path = Path(path)
    notes = Notes(str(path))
    content, lines = parsed(decoded(path), path, notes)
    content = inner(content)
    table = table_of(content, lines, notes)
    if table is not None:
        found = {name: values[table.present[name]].tolist() for name, values in table.columns.items()}
        return {name: values for name, values in found.items() if not EPOCH.fullmatch(name.strip())}
    if not isinstance(content, Mapping):
        raise RecordError("is not a history", where=path, expected=FORMS)
    return {name: values.tolist() for name, values in _history(content, notes, path).items()}


def read_content(
    content: Any, path: Path, notes: Notes, options: Options, text: str = "", lines: list[int] | None = None
) -> list[RunData]:
    """Return the runs of what a file holds, by its form."""
    name = path.stem.removesuffix("_hist")
    facts = _settings(content)
    content = inner(content)
    table = table_of(content, lines, notes)
    if table is not None:
        if not any(there.any() for there in table.present.values()):
            raise RecordError("holds no numbers: a run with no epochs", where=path, expected=FORMS)
        runs = runs_of(table, path, notes, name, options.epochs_from)
        for data in runs:
            data.settings = dict(facts)
        return runs
    if not isinstance(content, Mapping):
        raise RecordError(f"is not a history but a {type(content).__name__}", where=path, expected=FORMS)
    history = _history(_flat_lists(content), notes, path)
    epochs = _epochs_of(history)
    if epochs is not None:
        present = {name: np.ones(len(epochs), dtype=bool) for name in history}
        present["epoch"] = ~np.isnan(epochs)
        table = Table({"epoch": epochs, **history}, present, np.full(len(epochs), -1))
        return runs_of(table, path, notes, name, options.epochs_from)
    return [_run(history, path, name, text, notes, options)]


def _settings(content: Any) -> dict[str, Any]:
    """Return the settings of a training that a `trainer_state.json` states beside its log."""
    if not isinstance(content, Mapping) or "log_history" not in content:
        return {}
    return {name: content[name] for name in TRAINER_SETTINGS if isinstance(content.get(name), int | float)}


# ---------------------------------------------------------------- histories


def _history(content: Mapping[str, Any], notes: Notes, path: Path) -> dict[str, np.ndarray]:
    """Return the lists of numbers of a history; lists of vectors and of texts are reported and left out."""
    found: dict[str, np.ndarray] = {}
    lists = {
        text_of(n): _listed(own) for n, own in content.items() if isinstance(own, list | tuple | np.ndarray)
    }
    if not lists:
        raise RecordError("is not a history: it has no list", where=path, expected=FORMS)
    for name, own in lists.items():
        plain = own if isinstance(own, np.ndarray) else numbers_of(own)
        if plain is not None:
            found[name] = plain
            continue
        numbers = [math.nan if cell is None else number(cell) for cell in own]
        vectors = [isinstance(cell, list | tuple | np.ndarray | Mapping) for cell in own]
        if any(vectors):
            notes.add(f"{name}: a vector an epoch, left out")
        elif own and all(value is None for value in numbers):
            notes.add(f"{name}: its values are not numbers, left out")
        elif own:
            if any(value is None for value in numbers):
                notes.add(f"{name}: a value that is not a number, taken for a gap")
            found[name] = np.array([math.nan if value is None else value for value in numbers])
    if not found:
        raise RecordError("holds no list of numbers: a run with no epochs", where=path, expected=FORMS)
    return found


def _flat_lists(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return lists within objects under `outer/inner`: {"train": {"loss": [...]}}."""
    if any(isinstance(own, list | tuple | np.ndarray) for own in content.values()):
        return content
    return {
        f"{outer}/{text_of(inner)}": values
        for outer, own in content.items()
        if isinstance(own, Mapping)
        for inner, values in own.items()
    } or content


def _listed(values: Any) -> list[Any] | np.ndarray:
    """Return a list's items; lists of one number each (NumPy arrays that were saved) are those numbers."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype == np.float64 and len(values):
        return values
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if PLAIN.issuperset(map(type, items)):
        return items
    items = [item.tolist() if isinstance(item, np.ndarray) else item for item in items]
    single = items and all(isinstance(item, list) and len(item) == 1 for item in items)
    return [item[0] for item in items] if single else items


def _epochs_of(history: dict[str, np.ndarray]) -> np.ndarray | None:
    """Take a list `epoch` of the history's length out of it: these are the epochs of the others."""
    longest = max(map(len, history.values()))
    name = next((n for n, own in history.items() if EPOCH.fullmatch(n.strip()) and len(own) == longest), None)
    if name is None or any(len(own) != longest for own in history.values()) or len(history) == 1:
        return None
    return history.pop(name)


def _run(
    history: dict[str, np.ndarray], path: Path, name: str, text: str, notes: Notes, options: Options
) -> RunData:
    stages, first_epoch = options.stages, options.first_epoch
    total = max(map(len, history.values()))
    _check(history, stages, path)
    data = run_of(path, name, first_epoch)
    for metric, values in history.items():
        if EPOCH.fullmatch(metric.strip()) and len(history) > 1:
            continue
        start = 0 if len(values) == total else _aligned(metric, len(values), stages, total, notes)
        epochs = first_epoch + start + np.arange(len(values))
        at = text.find(f'"{metric}"')
        line = text.count("\n", 0, at) + 1 if at >= 0 else -1
        kind = MEASURED if len(values) == total else INFERRED
        data.add(metric, kind, epochs, values, line=np.full(len(values), line))
    return data


def _check(history: Mapping[str, np.ndarray], stages: Sequence[int], path: Path) -> None:
    lengths = {metric: len(values) for metric, values in history.items()}
    if len(set(lengths.values())) > 1 and not stages:
        shown = ", ".join(f"{metric} {length}" for metric, length in lengths.items())
        raise RecordError(
            f"lists of unequal length ({shown})",
            where=path,
            do=f"give the lengths of the stages: --stages {_stages_of(lengths.values())}, if the short lists "
            "are those of the last ones",
        )


def _stages_of(lengths: Iterable[int]) -> str:
    """Return stage lengths that fit lists of these lengths, if each ends with the file: 52 and 50 are 2,50."""
    known = sorted(set(lengths), reverse=True)
    ends = [known[0] - length for length in known]  # after how many epochs the next of them begins
    return ",".join(str(end - start) for start, end in itertools.pairwise([*ends, known[0]]))


def _aligned(metric: str, length: int, stages: Iterable[int], total: int, notes: Notes) -> int:
    """Return the 0-based position at which a short list begins, and record the choice."""
    ends = [min(end, total) for end in itertools.accumulate(stages)]
    if not ends or ends[-1] < total:
        ends.append(total)
    ends = list(dict.fromkeys(ends))
    starts = [0, *ends[:-1]]
    exact = [end for end in ends if end - length in starts]
    end = exact[-1] if exact else next((e for e in reversed(ends) if e >= length), total)
    others = f" (it also fits the end of epoch {', '.join(map(str, exact[:-1]))})" if exact[1:] else ""
    where = "whole stages" if exact else "the end of a stage"
    notes.add(
        f"{metric} has {length} of {total} values: aligned with {where}, epochs {end - length + 1} to {end}{others}"
    )
    return end - length
