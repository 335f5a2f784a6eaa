"""The cells of a CSV file as numbers: exactly what stands there, a whole column at once where it can be.

Arrow converts columns exactly and faster than pandas; it refuses a column with a cell that is not a number, and
such a column goes cell by cell: numbers with decimal commas, percent signs or in `tensor(...)`, times such as
00:18, and cells that are lost and reported by their line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.frames import Notes
from analysis.sources.epoch_table import CLOCK, DURATION, INDEX

CELL_END = "\x1f"  # the unit separator of ASCII stands between cells here, whatever it was in the file
ABSENT = ("", "NA", "N/A", "None", "null", "-", "<NA>")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf|infinity)", re.I)
COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
WRITTEN = (  # numbers as a person or a program writes them, and what is remarked of it
    (re.compile(rf"({COMMA_NUMBER.pattern})"), "commas are taken for decimal points"),
    (re.compile(rf"({NUMBER.pattern}) ?%", re.I), "percent signs are left out, the numbers stay as they are"),
    (
        re.compile(rf"(?:(?:tf|torch)\.)?tensor\(({NUMBER.pattern})[,)].*", re.I),
        "numbers are taken out of 'tensor(...)'",
    ),
)
TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+):(\d\d(?:\.\d+)?)")
REFUSED = re.compile(r"CSV column #(\d+)")  # Arrow says which column it could not convert
Cells = np.ma.MaskedArray | Sequence[str]
Columns = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def numbers(header: Sequence[str], rows: Sequence[str], lines: np.ndarray, notes: Notes) -> Columns:
    """Return the numbers of rows of cells parted by `CELL_END`, and which cells there are, by column."""
    found = read_by_arrow("\n".join(rows), len(header), len(rows))
    if found is None:
        found = list(zip(*(row.split(CELL_END) for row in rows), strict=True))
    return as_numbers(header, found, lines, notes)


def as_numbers(header: Sequence[str], found: Sequence[Cells], lines: np.ndarray, notes: Notes) -> Columns:
    """Return the numbers of cells by column, and which cells there are; what is not a number is reported."""
    columns, present = {}, {}
    for name, cells in zip(header, found, strict=True):
        if isinstance(cells, np.ma.MaskedArray):
            # A copy: Arrow's own is read-only, and lost cells are written into it.
            columns[name], present[name] = (np.array(cells.filled(np.nan)), ~np.ma.getmaskarray(cells))
        else:
            columns[name], present[name] = _converted(name, cells, lines, notes)
    return columns, present


def read_by_arrow(text: str, width: int, count: int) -> Sequence[Cells] | None:
    """Return numbers, with a mask over absent cells, for each column that has only such, and the texts of the others;
    None where Arrow sees other than `count` rows of `width` cells, parted by `CELL_END`."""
    import pyarrow
    from pyarrow import csv

    names = [str(number) for number in range(width)]
    types = dict.fromkeys(names, pyarrow.float64())
    content = pyarrow.py_buffer(text.encode())
    reading = csv.ReadOptions(column_names=names, use_threads=False)
    parting = csv.ParseOptions(delimiter=CELL_END, quote_char=False, ignore_empty_lines=False)
    for _ in range(width + 1):
        meaning = csv.ConvertOptions(column_types=types, null_values=list(ABSENT), strings_can_be_null=False)
        try:
            table = csv.read_csv(content, reading, parting, meaning)
        except pyarrow.ArrowInvalid as error:
            refused = REFUSED.search(str(error))
            if refused is None:
                return None
            types[names[int(refused[1])]] = pyarrow.string()
            continue
        return [_column(table[name]) for name in names] if len(table) == count else None
    return None


def _column(column: Any) -> Cells:
    """Return a column of Arrow's as an array with a mask, or as a list of texts."""
    if str(column.type) != "double":
        return [text or "" for text in column.to_pylist()]
    return np.ma.MaskedArray(column.to_numpy(), column.is_null().to_numpy())


def _converted(
    name: str, texts: Sequence[str], lines: np.ndarray, notes: Notes
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a column of texts and which cells hold one; times such as 00:18 are seconds."""
    cells = [text.strip() for text in texts]
    plain = [_number(cell) for cell in cells]
    times = DURATION.fullmatch(name.strip()) is not None
    lost = []
    for position, cell in enumerate(cells):
        if plain[position] is not None or cell in ABSENT:
            continue
        written = _written(cell)
        if written is not None:
            plain[position] = written[0]
            notes.add(f"{name}: {written[1]}")
        elif times and (match := TIME.fullmatch(cell)):
            days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            plain[position] = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        else:
            lost.append(position)
    if len(lost) < len(cells) or not (CLOCK.fullmatch(name) or INDEX.fullmatch(name)):
        for position in lost:
            notes.add(f"{name}: a cell that is not a number, left out", int(lines[position]))
    there = np.array([value is not None for value in plain], dtype=bool)
    return np.array([math.nan if value is None else value for value in plain]), there


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _written(cell: str) -> tuple[float, str] | None:
    """Return the number in a cell that is written in another way, and the remark on it."""
    for pattern, said in WRITTEN:
        if match := pattern.fullmatch(cell):
            return float(match[1].replace(",", ".")), said
    return None
