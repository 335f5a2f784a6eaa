"""Files of one row an epoch or a step: Keras' `CSVLogger`, pandas' `to_csv`, Lightning, ultralytics, timm, fastai.

A header, then rows, whatever the delimiter, the encoding and the columns. A header that is repeated (a
training that was resumed) goes on with the same run. A cell that is not a number is lost, reported by its line, and
its row is not; a row that is cut is reported and not used.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.frames import Note, Notes, RunData
from analysis.sources.csv_cells import CELL_END, NUMBER, as_numbers, numbers, read_by_arrow
from analysis.sources.epoch_table import CLOCK, EPOCH, INDEX, STEP, Table, runs_of
from analysis.sources.lines import decoded
from analysis.sources.options import Options
from workbench.errors import RecordError

DELIMITERS = (",", ";", "\t", "|")
BREAKING = ("\0", "\r", CELL_END)  # a line, a file or a cell would end at them
LONGEST_CELL_LINES = 1000  # a printed array may go over lines, within quotes
HEADER_LINES = 50  # so many lines may stand before the header


@dataclass
class Part:
    """The rows below one header: their texts and their line numbers."""

    header: list[str]
    rows: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the runs of the file and the remarks; raises `RecordError` when it has no header."""
    notes = Notes(str(path))
    table = read_table(path, notes)
    if not len(table.lines):
        return [], notes.all()
    name, epochs_from = path.stem.removesuffix("_hist"), (options or Options()).epochs_from
    runs = []
    for own, part in by_run(table, name).items():
        runs += runs_of(part, path, notes, own, epochs_from)
    return runs, notes.all()


def by_run(table: Table, name: str) -> dict[str, Table]:
    """Return a table for each run: usually one. Weights & Biases exports a chart with a column a run, called
    `run - metric`, and beside each its least and greatest value."""
    shared: list[str] = []
    runs: dict[str, dict[str, str]] = {}
    for column in table.columns:
        run, parting, metric = column.rpartition(" - ")
        if not parting:
            shared.append(column)
        elif not metric.endswith(("__MIN", "__MAX")):
            runs.setdefault(run, {})[column] = metric
    if not runs or not all(_is_axis(column) for column in shared):
        return {name: table}
    found = {}
    for run, own in runs.items():
        names = {column: column for column in shared} | own
        part = table.rows(np.any([table.present[column] for column in own], axis=0))
        columns = {called: part.columns[column] for column, called in names.items()}
        found[run] = Table(columns, {called: part.present[c] for c, called in names.items()}, part.lines)
    return found


def _is_axis(column: str) -> bool:
    return any(pattern.fullmatch(column.strip()) for pattern in (EPOCH, STEP, INDEX, CLOCK))


def read_table(path: Path, notes: Notes) -> Table:
    """Return the numbers of a file with a header; raises `RecordError` when it has none."""
    text = decoded(path)
    for sign in BREAKING:
        text = text.replace(sign, " ")
    cut = not text.endswith("\n")
    lines = text.split("\n")
    if not cut:
        lines.pop()
    at = header_at(lines)
    if at is None:
        raise RecordError("no header", where=path, expected="a first line such as 'epoch,loss,val_loss'")
    for number in range(1, at + 1):
        if lines[number - 1].strip():
            notes.add("stands before the header, not used", number)
    plain = _plain_table(text, lines, at, notes)
    if plain is not None:
        return plain
    parts = [part for part in _parts(lines, at, delimiter_of(lines[at]), notes) if part.rows]
    cut = cut and bool(parts) and parts[-1].lines[-1] == len(lines)
    tables = [_table(part, cut and part is parts[-1], notes) for part in parts]
    if not tables:
        return Table({}, {}, np.empty(0, "int64"))
    return tables[0] if len(tables) == 1 else _below(tables)


def header_at(lines: list[str]) -> int | None:
    """Return the position of the first line that names an epoch, a step or an index, or names columns of numbers."""
    for position, line in enumerate(lines[:HEADER_LINES]):
        cells = split(line, delimiter_of(line))
        if len(cells) < 2 or any(NUMBER.fullmatch(cell) for cell in cells):
            continue
        if any(EPOCH.fullmatch(cell) or STEP.fullmatch(cell) for cell in cells):
            return position
        following = next((own for own in lines[position + 1 :] if own.strip()), "")
        below = split(following, delimiter_of(line))
        if len(below) == len(cells) and any(NUMBER.fullmatch(cell) for cell in below):
            return position
    return None


def delimiter_of(line: str) -> str:
    """Return what stands between the names of a header: the most frequent delimiter, else white space."""
    counts = {sign: line.count(sign) for sign in DELIMITERS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else " "


def split(line: str, delimiter: str) -> list[str]:
    """Return the cells of one line without the spaces and quotes around them."""
    if delimiter == " ":
        return line.split()
    if '"' in line:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    return [cell.strip().strip("'") for cell in line.split(delimiter)]


# ---------------------------------------------------------------- rows


def _plain_table(text: str, lines: list[str], at: int, notes: Notes) -> Table | None:
    """Return the numbers of a file whose lines are all rows of one width, as nearly all are; None for any other."""
    delimiter = delimiter_of(lines[at])
    header = _names(split(lines[at], delimiter))
    lead, count = header[0].lower(), len(lines) - at - 1
    body = text[sum(len(line) + 1 for line in lines[: at + 1]) :]
    whole = body.endswith("\n") and "\n\n" not in f"\n{body}"  # Arrow takes an empty line for a row
    if delimiter == " " or '"' in body or (lead and lead in body.lower()) or not whole:
        return None
    numbers_at = np.arange(at + 2, at + 2 + count)
    found = read_by_arrow(body.replace(delimiter, CELL_END), len(header), count)
    return None if found is None else Table(*as_numbers(header, found, numbers_at, notes), numbers_at)


def _parts(lines: list[str], at: int, delimiter: str, notes: Notes) -> list[Part]:
    """Sort the lines below the header into parts, one a header that differs; what does not fit is reported."""
    first = lines[at].strip()
    parts = [Part(_names(split(first, delimiter)))]
    lead = parts[0].header[0].lower()
    signs = len(parts[0].header) - 1
    position, last = at + 1, len(lines)
    while position < last:
        line, number = lines[position], position + 1
        position += 1
        if '"' in line and line.count('"') % 2:
            line, position = _whole_quote(lines, position, line)
        row = _row(line, delimiter)
        if row.count(CELL_END) == signs and not (
            row[:1].isalpha() and lead and row.partition(CELL_END)[0].strip().lower() == lead
        ):
            parts[-1].rows.append(row)
            parts[-1].lines.append(number)
        elif line.strip():
            first = _odd(line, row, number, parts, first, delimiter, notes)
            signs = len(parts[-1].header) - 1
    return parts


def _odd(
    line: str, row: str, number: int, parts: list[Part], first: str, delimiter: str, notes: Notes
) -> str:
    """Take in a line that is not a plain row: a header, a row with a delimiter at its end, a damaged one; return the
    header from there on."""
    part = parts[-1]
    lead = parts[0].header[0].lower()
    if line.strip() == first:
        notes.add("the header again (resumed training)", number)
    elif lead and split(line, delimiter)[0].lower() == lead:
        notes.add("another header: the columns change here", number)
        parts.append(Part(_names(split(line, delimiter))))
        return line.strip()
    elif row.count(CELL_END) == len(part.header) and row.rstrip(" \t").endswith(CELL_END):
        part.rows.append(row.rstrip(" \t")[:-1])
        part.lines.append(number)
    else:
        notes.add("a row that is cut or mixed with another, not used", number)
    return first


def _row(line: str, delimiter: str) -> str:
    """Return a line with one sign between its cells, whatever stood there, and without quotes."""
    if delimiter == " " or '"' in line:
        return CELL_END.join(split(line, delimiter))
    return line.replace(delimiter, CELL_END)


def _names(cells: list[str]) -> list[str]:
    """Return the names of columns, each once: a second one of a name gets its number behind it."""
    cells = cells[:-1] if len(cells) > 1 and cells[-1] == "" else cells
    found: list[str] = []
    for cell in cells:
        found.append(cell if cell not in found else f"{cell}.{found.count(cell)}")
    return found


def _whole_quote(lines: list[str], position: int, line: str) -> tuple[str, int]:
    """Join the lines of a cell that goes over lines; a quote that is never closed leaves the line alone."""
    joined = [line]
    for end in range(position, min(position + LONGEST_CELL_LINES, len(lines))):
        joined.append(lines[end])
        if lines[end].count('"') % 2:
            return " ".join(joined), end + 1
    return line.replace('"', ""), position


def _table(part: Part, cut: bool, notes: Notes) -> Table:
    """Return the numbers of a part; the last cell of a last line without its end may be cut and is not used."""
    lines = np.array(part.lines, dtype="int64")
    columns, present = numbers(part.header, part.rows, lines, notes)
    if cut:
        notes.add("the last line has no line end: its last value may be cut and is not used", part.lines[-1])
        present[part.header[-1]][-1] = False
        columns[part.header[-1]][-1] = np.nan
    return Table(columns, present, lines)


def _below(tables: list[Table]) -> Table:
    """Put tables one below the other; a column that one of them lacks is absent there."""
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    sizes = [len(table.lines) for table in tables]
    columns, present = {}, {}
    for name in names:
        parts = [t.columns.get(name, np.full(n, np.nan)) for t, n in zip(tables, sizes)]
        there = [t.present.get(name, np.zeros(n, bool)) for t, n in zip(tables, sizes)]
        columns[name], present[name] = np.concatenate(parts), np.concatenate(there)
    return Table(columns, present, np.concatenate([table.lines for table in tables]))
