"""JSON of a training: Keras histories, pandas' `to_json`, lists of objects, `trainer_state.json`, JSON lines.

A history is an object of lists, a number an epoch. Lists of unequal length need the stages: a metric that
exists in one stage (or some) only has a shorter list, which is aligned so that it ends where a stage ends;
where several places fit, the choice is recorded. Without the stages such a file is refused, because a guess
would move values to wrong epochs. A pickled `History.history` is read like one, through the safe reader.
What else there is (objects by epoch, rows) is a table, and read as one.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import INFERRED, MEASURED, Note, Notes, RunData
from analysis.sources.epoch_table import EPOCH, Table, runs_of
from analysis.sources.lines import decoded
from analysis.sources.options import Options
from workbench.errors import RecordError

FORMS = "an object of lists (a number an epoch), of objects by epoch, or a list of objects, one an epoch"
LOGS = ("log_history", "history", "epochs", "log", "logs", "metrics", "results", "records")  # where they lie
TRAINER_SETTINGS = (
    "num_train_epochs",
    "max_steps",
    "train_batch_size",
    "logging_steps",
    "eval_steps",
    "save_steps",
)
History = dict[str, list[float]]
PLAIN_DEPTH = 3  # objects within a row become `outer/inner`; deeper ones are no metrics


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the runs of a file of JSON or of JSON lines, and the remarks.

    Raises `RecordError` for an unreadable file and for lists of unequal length without stages.
    """
    notes = Notes(str(path))
    text = decoded(path)
    content, lines = _parsed(text, path, notes)
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
    content, lines = _parsed(decoded(path), path, notes)
    content = _inner(content)
    rows = _rows(content)
    if rows is not None:
        table = _table(rows, lines, notes)
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
    content = _inner(content)
    rows = _rows(content)
    if rows is not None:
        table = _table(rows, lines, notes)
        if not any(there.any() for there in table.present.values()):
            raise RecordError("holds no numbers: a run with no epochs", where=path, expected=FORMS)
        runs = runs_of(table, path, notes, name, options.epochs_from)
        for data in runs:
            data.settings = dict(facts)
        return runs
    if not isinstance(content, Mapping):
        raise RecordError(f"is no history but a {type(content).__name__}", where=path, expected=FORMS)
    history = _history(_flat_lists(content), notes, path)
    epochs = _epochs_of(history)
    if epochs is not None:
        columns = {"epoch": epochs, **history}
        present = {"epoch": ~np.isnan(epochs), **_all(history)}
        table = Table(columns, present, np.full(len(epochs), -1))
        return runs_of(table, path, notes, name, options.epochs_from)
    return [_run(history, path, name, text, notes, options.stages, options.first_epoch)]


def _settings(content: Any) -> dict[str, Any]:
    """Return the settings of a training that a `trainer_state.json` states beside its log."""
    if not isinstance(content, Mapping) or "log_history" not in content:
        return {}
    return {name: content[name] for name in TRAINER_SETTINGS if isinstance(content.get(name), int | float)}


# ---------------------------------------------------------------- what the file holds


def _parsed(text: str, path: Path, notes: Notes) -> tuple[Any, list[int] | None]:
    """Return the content, and for JSON lines the line of each object."""
    try:
        return json.loads(text), None  # as deep as Python's own stack: what is deeper is no record
    except (ValueError, RecursionError) as error:
        found = _json_lines(text, notes) or _literal(text)
        if found is None:
            raise RecordError(f"cannot be read as JSON: {error}", where=path, expected=FORMS) from error
        return found


def _literal(text: str) -> tuple[Any, None] | None:
    """Return what `str(history.history)` printed, a dictionary of plain values; None for anything else."""
    if not text.lstrip().startswith(("{'", '{"', "[{")):
        return None
    try:
        return ast.literal_eval(re.sub(r"(?<=[\[ ,:-])(nan|inf)(?=[\], }])", r"'\1'", text.strip())), None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _json_lines(text: str, notes: Notes) -> tuple[list[Any], list[int]] | None:
    """Return the objects of JSON lines and their line numbers; None where no line is one."""
    rows: list[Any] = []
    numbers: list[int] = []
    bad: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        start = line.find("{")  # timm's and others' logs have a time stamp in front
        try:
            row = json.loads(line[start:]) if start >= 0 else None
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
            numbers.append(number)
        else:
            bad.append(number)
    if not rows or len(bad) > len(rows):
        return None
    for number in bad:
        notes.add("a line that is no JSON object (cut, or mixed with another), not used", number)
    return rows, numbers


def _inner(content: Any) -> Any:
    """Return the part of an object that is the training: `log_history`, `history`, pandas' `split` form."""
    if isinstance(content, Mapping):
        content = {_text(key): value for key, value in content.items()}
        if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
            rows = [row for row in content["data"] if isinstance(row, list)]
            return [dict(zip(map(str, content["columns"]), row)) for row in rows]
        for key in LOGS:
            own = content.get(key)
            if isinstance(own, Mapping) and any(isinstance(v, list | Mapping) for v in own.values()):
                return _inner(own)
            if isinstance(own, list) and own and all(isinstance(row, Mapping) for row in own):
                return own
    return content


def _text(key: Any) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _rows(content: Any) -> list[Mapping[str, Any]] | None:
    """Return a row an epoch where the content is one: a list of objects, or objects by epoch or by metric."""
    if isinstance(content, list | tuple) and content and any(isinstance(row, Mapping) for row in content):
        return [row if isinstance(row, Mapping) else {} for row in content]
    if not isinstance(content, Mapping):
        return None
    inner = {name: own for name, own in content.items() if isinstance(own, Mapping) and own}
    if not inner or any(isinstance(own, list | tuple) and own for own in content.values()):
        return None
    if all(_is_number(name) for name in inner):  # {"0": {"loss": ...}}: the key is the epoch
        return [{"epoch": float(name), **own} for name, own in inner.items()]
    keys = list(dict.fromkeys(_text(key) for own in inner.values() for key in own))
    if keys and all(_is_number(key) for key in keys):  # {"loss": {"0": ...}}: pandas' own form
        by_key = {name: {_text(k): v for k, v in own.items()} for name, own in inner.items()}
        return [
            {"epoch": float(key), **{n: own[key] for n, own in by_key.items() if key in own}} for key in keys
        ]
    return None


def _is_number(text: Any) -> bool:
    return _text(text).strip().removeprefix("epoch").strip(" _").isdigit()


# ---------------------------------------------------------------- rows


def _table(rows: Sequence[Mapping[str, Any]], lines: list[int] | None, notes: Notes) -> Table:
    """Return rows as a table of numbers; what is no number is told by its name and left out."""
    flat = [_flat(row, "", 1) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    columns, present = {}, {}
    for name in names:
        cells = [row.get(name) for row in flat]
        numbers = [number(cell) for cell in cells]
        there = np.array([value is not None for value in numbers])
        other = {type(c).__name__ for c, v in zip(cells, numbers) if v is None and c is not None}
        if other & {"list", "tuple", "ndarray"}:
            notes.add(f"{name}: a vector an epoch, left out")
        elif other and there.any():
            notes.add(f"{name}: a cell that is no number, left out")
        if there.any():
            columns[name] = np.array([math.nan if value is None else value for value in numbers])
            present[name] = there
    at = np.full(len(rows), -1) if lines is None else np.array(lines)
    return Table(columns, present, at)


def _flat(row: Mapping[Any, Any], prefix: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{_text(key)}"
        if isinstance(value, Mapping) and depth < PLAIN_DEPTH:
            found |= _flat(value, f"{name}/", depth + 1)
        elif not isinstance(value, Mapping):
            found[name] = value
    return found


def number(value: Any) -> float | None:
    """Return a JSON value as a float, None for what is no number; the texts "nan", "inf" are what they say."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits is nothing that was measured
            return None
    if isinstance(value, bytes):
        value = _text(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None


# ---------------------------------------------------------------- histories


def _history(content: Mapping[str, Any], notes: Notes, path: Path) -> dict[str, np.ndarray]:
    """Return the lists of numbers of a history; lists of vectors and of texts are told and left out."""
    found: dict[str, np.ndarray] = {}
    lists = {
        _text(n): _listed(own) for n, own in content.items() if isinstance(own, list | tuple | np.ndarray)
    }
    if not lists:
        raise RecordError("is not a history: it has no list", where=path, expected=FORMS)
    for name, own in lists.items():
        numbers = [math.nan if cell is None else number(cell) for cell in own]
        vectors = [isinstance(cell, list | tuple | np.ndarray | Mapping) for cell in own]
        if any(vectors):
            notes.add(f"{name}: a vector an epoch, left out")
        elif own and all(value is None for value in numbers):
            notes.add(f"{name}: its values are no numbers, left out")
        elif own:
            if any(value is None for value in numbers):
                notes.add(f"{name}: a value that is no number, taken for a gap")
            found[name] = np.array([math.nan if value is None else value for value in numbers])
    if not found:
        raise RecordError("holds no list of numbers: a run with no epochs", where=path, expected=FORMS)
    return found


def _flat_lists(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return lists within objects under `outer/inner`: {"train": {"loss": [...]}}."""
    if any(isinstance(own, list | tuple | np.ndarray) for own in content.values()):
        return content
    return {
        f"{outer}/{_text(inner)}": values
        for outer, own in content.items()
        if isinstance(own, Mapping)
        for inner, values in own.items()
    } or content


def _listed(values: Any) -> list[Any]:
    """Return a list's items; lists of one number each (NumPy arrays that were saved) are those numbers."""
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
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


def _all(history: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ones(len(values), dtype=bool) for name, values in history.items()}


def _run(
    history: dict[str, np.ndarray],
    path: Path,
    name: str,
    text: str,
    notes: Notes,
    stages: Sequence[int],
    first_epoch: int,
) -> RunData:
    total = max(map(len, history.values()))
    _check(history, stages, path)
    facts = {"name": name, "origin": str(path), "status": "finished"}
    data = RunData(run=name, file=str(path), facts=facts, first_epoch=first_epoch)
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
            do="give the lengths of the stages (--stages 2,20)",
        )


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
