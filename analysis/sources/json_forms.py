"""JSON and JSON lines as what is in them: rows, objects by epoch or by metric, or lists.

Arrow reads what consists of numbers alone, exactly and faster than `json`; everything else goes through `json`, line
by line where a line is damaged, and from there into a table.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import Notes
from analysis.sources.epoch_table import EPOCH, STEP, Table
from workbench.errors import RecordError

FORMS = "an object of lists (a number an epoch), of objects by epoch, or a list of objects, one an epoch"
LOGS = ("log_history", "history", "epochs", "log", "logs", "metrics", "results", "records")  # where they lie
TEXT, INNER = frozenset((str,)), frozenset((dict,))
PLAIN = frozenset((int, float))  # lists of nothing else are converted at once
SEVERAL = (Mapping, list, tuple, np.ndarray)
NUMBERS = ("double", "int64", "null")  # as Arrow calls them
NUMBER_LISTS = ("list<item: double>", "list<item: int64>")
MOST_NAMES = 200  # of an object that Arrow reads
FIRST_LINES = 100
NAME = re.compile(r'"([^"\\]*)":')
PLAIN_DEPTH = 3  # objects within a row become `outer/inner`; deeper ones are not metrics


def parsed(text: str, path: Path, notes: Notes) -> tuple[Any, list[int] | None]:
    """Return the content, and for JSON lines the line of each object; a `Table` or arrays where all are numbers."""
    if found := _read_by_arrow(text):
        return found
    try:
        return json.loads(text), None  # as deep as Python's own stack: what is deeper is not a record
    except (ValueError, RecursionError) as error:
        found = _json_lines(text, notes) or _literal(text)
        if found is None:
            raise RecordError(f"cannot be read as JSON: {error}", where=path, expected=FORMS) from error
        return found


def _read_by_arrow(text: str) -> tuple[Any, list[int] | None] | None:
    """Return the arrays of one object of lists of numbers, or the table of JSON lines of numbers, read by Arrow; None
    for anything else."""
    lines = text.split("\n")
    if not (_is_shallow(text) if text.count("{") == 1 else _are_alike(text, lines)):
        return None
    import pyarrow
    from pyarrow import json as arrow

    # In one block: Arrow refuses an object that goes over the border of two.
    content = pyarrow.py_buffer(text.encode())
    try:
        table = arrow.read_json(
            content,
            arrow.ReadOptions(use_threads=False, block_size=len(content) + 1),
            arrow.ParseOptions(newlines_in_values=True),
        )
    except pyarrow.ArrowInvalid:
        return None
    if table.num_rows == 1 and all(str(own.type) in NUMBER_LISTS for own in table.columns):
        lists = {name: table[name].chunk(0).values for name in table.column_names}
        if any(own.null_count for own in lists.values()):
            return None
        values = {name: own.to_numpy().astype("float64") for name, own in lists.items()}
        return None if _has_infinite(values) else (values, None)
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    if len(numbers) != table.num_rows or not any(map(is_axis, table.column_names)):
        return None
    if not all(str(own.type) in NUMBERS for own in table.columns):
        return None
    columns = {name: table[name].to_numpy().astype("float64") for name in table.column_names}
    present = {name: ~table[name].is_null().to_numpy() for name in table.column_names}
    return None if _has_infinite(columns) else (Table(columns, present, np.array(numbers)), numbers)


def _has_infinite(columns: Mapping[str, np.ndarray]) -> bool:
    """Tell a number beyond what a float holds: Arrow makes infinity of a thousand digits, unsaid."""
    return any(bool(np.isinf(values).any()) for values in columns.values())


def _is_shallow(text: str) -> bool:
    """Tell one object of few lists. Arrow would take minutes over many names, and end Python over deep lists."""
    return text.lstrip().startswith("{") and text.count('":') <= MOST_NAMES and text.count("[") <= MOST_NAMES


def _are_alike(text: str, lines: list[str]) -> bool:
    """Tell lines of one object each, without lists, whose names are those of the first lines."""
    lines = [line for line in lines if line.strip()]
    if "[" in text or text.count("{") != len(lines):
        return False
    if not all(line[0] == "{" and line[-1] == "}" for line in lines):
        return False
    names = set(NAME.findall("\n".join(lines[:FIRST_LINES])))
    return len(names) <= MOST_NAMES and text.count('":') == sum(text.count(f'"{name}":') for name in names)


def _literal(text: str) -> tuple[Any, None] | None:
    """Return what `str(history.history)` printed, a dictionary of plain values; None for anything else."""
    if not text.lstrip().startswith(("{'", '{"', "[{")):
        return None
    try:
        with warnings.catch_warnings():
            # Of numbers that run into words, in a damaged file.
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.literal_eval(re.sub(r"(?<=[\[ ,:-])(nan|inf)(?=[\], }])", r"'\1'", text.strip())), None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _json_lines(text: str, notes: Notes) -> tuple[list[Any], list[int]] | None:
    """Return the objects of JSON lines and their line numbers; None where no line is one."""
    lines = text.split("\n")
    if plain := _plain_lines(lines):
        return plain
    rows: list[Any] = []
    numbers: list[int] = []
    bad: list[int] = []
    for number, line in enumerate(lines, start=1):
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
        notes.add("a line that is not a JSON object (cut, or mixed with another), not used", number)
    return rows, numbers


def _plain_lines(lines: list[str]) -> tuple[list[Any], list[int]] | None:
    """Return the objects of lines that hold one each and nothing else, all in one call; None for any other lines."""
    numbers = [number for number, line in enumerate(lines, start=1) if line]
    own = [line for line in lines if line]
    if not all(line[0] == "{" and line[-1] == "}" for line in own):
        return None
    try:
        rows = json.loads(f"[{','.join(own)}]")
    except (ValueError, RecursionError):
        return None
    return (rows, numbers) if rows and len(rows) == len(own) else None


def inner(content: Any) -> Any:
    """Return the part of an object that is the training: `log_history`, `history`, pandas' `split` form."""
    if isinstance(content, Mapping):
        content = {text_of(key): value for key, value in content.items()}
        if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
            rows = [row for row in content["data"] if isinstance(row, list)]
            return [dict(zip(map(str, content["columns"]), row)) for row in rows]
        for key in LOGS:
            own = content.get(key)
            if isinstance(own, Mapping) and any(isinstance(v, list | Mapping) for v in own.values()):
                return inner(own)
            if isinstance(own, list) and own and all(isinstance(row, Mapping) for row in own):
                return own
    return content


def text_of(key: Any) -> str:
    """Return a key as text; pickles of Python 2 hold bytes."""
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def table_of(content: Any, lines: list[int] | None, notes: Notes) -> Table | None:
    """Return rows of a list of objects, or of objects by epoch or by metric, as a table; None for another form."""
    if isinstance(content, Table):
        return content
    if isinstance(content, list | tuple) and content and any(isinstance(row, Mapping) for row in content):
        return _of_rows([row if isinstance(row, Mapping) else {} for row in content], lines, notes)
    if not isinstance(content, Mapping):
        return None
    if any(map(is_axis, map(text_of, content))) and not any(
        isinstance(value, SEVERAL) for value in content.values()
    ):
        return _of_rows([content], lines or [1], notes)  # JSON lines after the first epoch
    own = {name: row for name, row in content.items() if isinstance(row, Mapping) and row}
    if not own or any(isinstance(row, list | tuple) and row for row in content.values()):
        return None
    if all(_epoch_of(name) is not None for name in own):  # {"0": {"loss": ...}}: the key is the epoch
        return _of_rows([{"epoch": _epoch_of(name), **row} for name, row in own.items()], lines, notes)
    keys = list(dict.fromkeys(itertools.chain.from_iterable(own.values())))
    epochs = [_epoch_of(key) for key in keys]
    if not keys or None in epochs:
        return None
    cells = {"epoch": epochs, **{name: [row.get(key) for key in keys] for name, row in own.items()}}
    if any(not INNER.isdisjoint(map(type, column)) for column in cells.values()):
        return _of_rows([dict(zip(cells, row)) for row in zip(*cells.values())], lines, notes)
    return _of_columns(cells, np.full(len(keys), -1), notes)  # {"loss": {"0": ...}}: pandas' own form


def is_axis(name: str) -> bool:
    """Tell a name of the epoch or the step."""
    return bool(EPOCH.fullmatch(name.strip()) or STEP.fullmatch(name.strip()))


def _epoch_of(key: Any) -> float | None:
    """Return the epoch that a key is: "3", "epoch 3", "epoch_3"; None for any other."""
    text = text_of(key)
    text = text if text.isdigit() else text.strip().lower().removeprefix("epoch").strip(" _:-")
    return float(text) if text.isdecimal() else None


def _of_rows(rows: Sequence[Mapping[str, Any]], lines: list[int] | None, notes: Notes) -> Table:
    flat = [_flat(row, "", 1) for row in rows]
    names = list(dict.fromkeys(itertools.chain.from_iterable(flat)))
    at = np.full(len(rows), -1) if lines is None else np.array(lines)
    return _of_columns({name: [row.get(name) for row in flat] for name in names}, at, notes)


def _of_columns(cells_of: Mapping[str, list[Any]], lines: np.ndarray, notes: Notes) -> Table:
    """Return columns as a table of numbers; what is not a number is reported by its name and left out."""
    columns, present = {}, {}
    for name, cells in cells_of.items():
        numbers = numbers_of(cells)
        if numbers is not None:
            columns[name], present[name] = numbers, np.ones(len(cells), dtype=bool)
            continue
        found = [number(cell) for cell in cells]
        there = np.array([value is not None for value in found])
        other = {type(c).__name__ for c, v in zip(cells, found) if v is None and c is not None}
        if other & {"list", "tuple", "ndarray"}:
            notes.add(f"{name}: a vector an epoch, left out")
        elif other and there.any():
            notes.add(f"{name}: a cell that is not a number, left out")
        if there.any():
            columns[name] = np.array([math.nan if value is None else value for value in found])
            present[name] = there
    return Table(columns, present, lines)


def numbers_of(cells: list[Any]) -> np.ndarray | None:
    """Return cells that are all numbers, none of them beyond a float, as an array; None for any other."""
    if not cells or not PLAIN.issuperset(map(type, cells)):
        return None
    try:
        return np.fromiter(cells, "float64", len(cells))
    except OverflowError:
        return None


def _flat(row: Mapping[Any, Any], prefix: str, depth: int) -> dict[str, Any]:
    if not prefix and INNER.isdisjoint(map(type, row.values())) and TEXT.issuperset(map(type, row)):
        return dict(row)
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{text_of(key)}"
        if isinstance(value, Mapping) and depth < PLAIN_DEPTH:
            found |= _flat(value, f"{name}/", depth + 1)
        elif not isinstance(value, Mapping):
            found[name] = value
    return found


def number(value: Any) -> float | None:
    """Return a JSON value as a float, None for what is not a number; the texts "nan", "inf" are what they say."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, bytes):
        value = text_of(value)
    if not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
