"""Files of one row an epoch or a step: Keras' `CSVLogger`, pandas' `to_csv`, Lightning, ultralytics, timm, fastai.

A header, then rows, whatever the delimiter, the encoding and the columns. A header that is repeated (a
training that was resumed) goes on with the same run. A cell that is no number is lost, told by its line, and
its row is not; a row that is cut is told and not used.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.frames import Note, Notes, RunData
from analysis.sources.epoch_table import CLOCK, DURATION, EPOCH, INDEX, STEP, Table, runs_of
from analysis.sources.lines import decoded
from analysis.sources.options import Options
from workbench.errors import RecordError

DELIMITERS = (",", ";", "\t", "|")
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
BREAKING = {0: " ", ord("\r"): " "}  # pandas would end a line, or the file, at them
TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+):(\d\d(?:\.\d+)?)")
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
        there = np.any([table.present[column] for column in own], axis=0)
        columns = {called: table.columns[column][there] for column, called in names.items()}
        present = {called: table.present[column][there] for column, called in names.items()}
        found[run] = Table(columns, present, table.lines[there])
    return found


def _is_axis(column: str) -> bool:
    return any(pattern.fullmatch(column.strip()) for pattern in (EPOCH, STEP, INDEX, CLOCK))


def read_table(path: Path, notes: Notes) -> Table:
    """Return the numbers of a file with a header; raises `RecordError` when it has none."""
    text = decoded(path)
    cut = not text.endswith("\n")
    lines = text.translate(BREAKING).split("\n")
    if not cut:
        lines.pop()
    at = header_at(lines)
    if at is None:
        raise RecordError("no header", where=path, expected="a first line such as 'epoch,loss,val_loss'")
    for number in range(1, at + 1):
        if lines[number - 1].strip():
            notes.add("stands before the header, not used", number)
    delimiter = delimiter_of(lines[at])
    parts = _plain_part(text, lines, at, delimiter) or _parts(lines, at, delimiter, notes)
    tables = [
        _numbers(part, delimiter, cut and number == len(parts), len(lines), notes)
        for number, part in enumerate(parts, start=1)
        if part.rows
    ]
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


def _plain_part(text: str, lines: list[str], at: int, delimiter: str) -> list[Part] | None:
    """Return the one part of a file whose lines are all rows of one width, as nearly all are; None for any other."""
    header = _names(split(lines[at], delimiter))
    first, rows = header[0].strip().lower(), lines[at + 1 :]
    if '"' in text or delimiter == " " or len(header) < 2 or not first:
        return None
    signs = len(header) - 1
    if lines[at].count(delimiter) != signs or any(row.count(delimiter) != signs for row in rows):
        return None
    if sum(1 for _ in re.finditer(re.escape(first), text, re.I)) > lines[at].lower().count(first):
        return None  # perhaps a header that is repeated
    return [Part(header, rows, list(range(at + 2, at + 2 + len(rows))))]


def _parts(lines: list[str], at: int, delimiter: str, notes: Notes) -> list[Part]:
    """Sort the lines below the header into parts, one a header that differs; what does not fit is told."""
    first = lines[at].strip()
    header = _names(split(first, delimiter))
    parts = [Part(header)]
    lead = header[0].lower()
    position, last = at + 1, len(lines)
    while position < last:
        line, number = lines[position], position + 1
        position += 1
        if '"' in line and line.count('"') % 2:
            line, position = _whole_quote(lines, position, line)
        part = parts[-1]
        width = _width(line, delimiter)
        if width == len(part.header) and not (line[:1].isalpha() and line.strip().lower().startswith(lead)):
            part.rows.append(line)
            part.lines.append(number)
        elif not line.strip():
            continue
        elif line.strip() == first:
            notes.add("the header again (resumed training)", number)
        elif lead and split(line, delimiter)[0].lower() == lead:
            notes.add("another header: the columns change here", number)
            parts.append(Part(_names(split(line, delimiter))))
            first = line.strip()
        elif width == len(part.header) + 1 and line.rstrip().endswith(delimiter):
            part.rows.append(line.rstrip()[: -len(delimiter)])
            part.lines.append(number)
        else:
            notes.add("a row that is cut or mixed with another, not used", number)
    return parts


def _names(cells: list[str]) -> list[str]:
    """Return the names of columns, each once: a second one of a name gets its number behind it."""
    cells = cells[:-1] if len(cells) > 1 and cells[-1] == "" else cells
    found: list[str] = []
    for cell in cells:
        found.append(cell if cell not in found else f"{cell}.{found.count(cell)}")
    return found


def _width(line: str, delimiter: str) -> int:
    if '"' in line or delimiter == " ":
        return len(split(line, delimiter))
    return line.count(delimiter) + 1


def _whole_quote(lines: list[str], position: int, line: str) -> tuple[str, int]:
    """Join the lines of a cell that goes over lines; a quote that is never closed leaves the line alone."""
    joined = [line]
    for end in range(position, min(position + LONGEST_CELL_LINES, len(lines))):
        joined.append(lines[end])
        if lines[end].count('"') % 2:
            return " ".join(joined), end + 1
    return line.replace('"', ""), position


# ---------------------------------------------------------------- cells


def _numbers(part: Part, delimiter: str, cut: bool, last_line: int, notes: Notes) -> Table:
    """Return the numbers of a part; the last cell of a last line without its end may be cut and is not used."""
    separator = r"\s+" if delimiter == " " else delimiter
    frame = _frame(part, separator, ".")
    texts = {name: _texts(part, separator, name) for name in frame if frame[name].dtype.kind not in "fiu"}
    if delimiter != "," and any(cells.str.fullmatch(COMMA_NUMBER.pattern).any() for cells in texts.values()):
        notes.add("commas are taken for decimal points")
        part.rows = [row.replace(",", ".") for row in part.rows]
        frame = _frame(part, separator, ".")
        texts = {name: _texts(part, separator, name) for name in frame if frame[name].dtype.kind not in "fiu"}
    lines = np.array(part.lines, dtype="int64")
    printed = any("nan" in row.lower() for row in part.rows) if frame.isna().any(axis=None) else False
    columns, present = {}, {}
    for position, name in enumerate(part.header):
        cells = texts.get(position)
        if cells is None and printed and frame[position].isna().any():
            cells = _texts(part, separator, position)
        if cells is None:
            columns[name] = np.array(frame[position], dtype="float64")
            present[name] = ~np.isnan(columns[name])
        else:
            columns[name], present[name] = _converted(name, cells, lines, notes)
    if cut and part.lines[-1] == last_line:
        notes.add("the last line has no line end: its last value may be cut and is not used", last_line)
        present[part.header[-1]][-1] = False
        columns[part.header[-1]][-1] = np.nan
    return Table(columns, present, lines)


def _frame(part: Part, separator: str, decimal: str) -> pd.DataFrame:
    frame = pd.read_csv(
        io.StringIO("\n".join(part.rows)),
        sep=separator,
        header=None,
        names=range(len(part.header)),
        index_col=False,
        skipinitialspace=True,
        decimal=decimal,
        float_precision="round_trip",
        low_memory=False,
        na_values=list(ABSENT),
        on_bad_lines="skip",
        quoting=_quoting(part),
    )
    return frame if len(frame) == len(part.rows) else _split_by_hand(part, separator)


def _split_by_hand(part: Part, separator: str) -> pd.DataFrame:
    """Return the cells as texts where pandas sees other rows than there are: quotes within damaged lines."""
    width = len(part.header)
    rows = [
        row.replace('"', "").split() if separator == r"\s+" else row.replace('"', "").split(separator)
        for row in part.rows
    ]
    return pd.DataFrame([(row + [""] * width)[:width] for row in rows], dtype=object)


def _texts(part: Part, separator: str, position: int) -> pd.Series:
    """Return the cells of one column as they stand there."""
    frame = pd.read_csv(
        io.StringIO("\n".join(part.rows)),
        sep=separator,
        header=None,
        names=range(len(part.header)),
        index_col=False,
        usecols=[position],
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        on_bad_lines="skip",
        quoting=_quoting(part),
    )
    if len(frame) != len(part.rows):
        frame = _split_by_hand(part, separator)
    return frame[position].astype(object).fillna("").astype(str).str.strip()


def _quoting(part: Part) -> int:
    return csv.QUOTE_MINIMAL if any('"' in row for row in part.rows) else csv.QUOTE_NONE


def _converted(name: str, cells: pd.Series, lines: np.ndarray, notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a column of texts and which cells hold one; times such as 00:18 are seconds."""
    values = pd.to_numeric(cells, errors="coerce").to_numpy("float64").copy()
    there = ~np.isnan(values) | cells.str.fullmatch(r"[+-]?nan", case=False).to_numpy(bool)
    rest = ~there & ~cells.isin(ABSENT).to_numpy(bool)
    for position in np.flatnonzero(rest).tolist():
        found = _number_in(cells.iloc[position])
        if found is not None:
            values[position], there[position], rest[position] = found[0], True, False
            notes.add(f"{name}: {found[1]}")
    if rest.any() and DURATION.fullmatch(name.strip()):
        for position in np.flatnonzero(rest).tolist():
            if match := TIME.fullmatch(cells.iloc[position]):
                days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
                values[position] = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
                there[position], rest[position] = True, False
    if rest.all() and (CLOCK.fullmatch(name) or INDEX.fullmatch(name)):
        return values, there
    for line in lines[rest].tolist():
        notes.add(f"{name}: a cell that is no number, left out", line)
    return values, there


def _number_in(cell: str) -> tuple[float, str] | None:
    """Return the number in a cell that is written in another way, and the remark on it."""
    for pattern, said in WRITTEN:
        if match := pattern.fullmatch(cell):
            return float(match[1].replace(",", ".")), said
    return None


def _below(tables: list[Table]) -> Table:
    """Put tables one below the other; a column that one of them lacks is absent there."""
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    sizes = [len(table.lines) for table in tables]
    columns = {
        name: np.concatenate([t.columns.get(name, np.full(n, np.nan)) for t, n in zip(tables, sizes)])
        for name in names
    }
    present = {
        name: np.concatenate([t.present.get(name, np.zeros(n, bool)) for t, n in zip(tables, sizes)])
        for name in names
    }
    return Table(columns, present, np.concatenate([table.lines for table in tables]))
