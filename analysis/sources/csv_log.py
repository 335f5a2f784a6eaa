"""Files of Keras' `CSVLogger`: a header that begins with `epoch`, then a row an epoch, 0-based.

A resumed training appends: an epoch number that goes back begins another attempt, whose rows supersede
those that they repeat (reported by line); one that begins anew from 0 is another run.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import numpy as np

from analysis.frames import MEASURED, Note, Notes, RunData
from analysis.sources.lines import blocks
from workbench.errors import RecordError


@dataclass
class Launch:
    """The rows of one run: numbers row after row, and each row's line number and attempt."""

    header: list[str]
    numbers: array[float] = field(default_factory=lambda: array("d"))
    lines: list[int] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    absent: set[tuple[int, int]] = field(default_factory=set)  # (line, column) without a value
    attempt: int = 1

    def row(self, position: int) -> list[float]:
        """Return the numbers of one row."""
        width = len(self.header)
        start = (position % len(self.lines)) * width
        return list(self.numbers[start : start + width])

    def append(self, values: list[float], line: int) -> None:
        """Add a row of the current attempt."""
        self.numbers.extend(values)
        self.lines.append(line)
        self.attempts.append(self.attempt)

    def drop_last(self) -> int:
        """Take the last row away and return its line number."""
        del self.numbers[-len(self.header) :]
        self.attempts.pop()
        return self.lines.pop()


def read(path: Path) -> tuple[list[RunData], list[Note]]:
    """Return the runs of the file and the remarks; raises `RecordError` when it has no header."""
    notes = Notes(str(path))
    launches: list[Launch] = []
    header: list[str] = []
    for first, lines, cut in blocks(path):
        for number, line in enumerate(lines, first):
            cells = line.decode("utf-8", "replace").strip().lstrip("\ufeff").replace(";", ",").split(",")
            if cells[0] == "epoch":
                header = cells
                launches.append(Launch(header))
            elif not header:
                raise RecordError("no header", where=f"{path}:{number}", expected="a first line 'epoch,...'")
            elif cells != [""]:
                _row(launches, cells, number, notes, cut)
    launches = [launch for launch in launches if launch.lines]
    names = [path.stem] if len(launches) == 1 else [f"{path.stem}#{n}" for n in range(1, len(launches) + 1)]
    return [_run(launch, path, name) for launch, name in zip(launches, names, strict=True)], notes.all()


def _row(launches: list[Launch], cells: list[str], line: int, notes: Notes, cut: bool) -> None:
    launch = launches[-1]
    absent = {(line, column) for column, cell in enumerate(cells) if cell in ("", "NA")}
    if cut and len(cells) == len(launch.header):
        notes.add("the last line has no line end: its last value may be cut and is not used", line)
        absent.add((line, len(cells) - 1))
    try:
        values = [nan if (line, column) in absent else float(cell) for column, cell in enumerate(cells)]
        if len(values) != len(launch.header) or values[0] != int(values[0]):
            raise ValueError(f"{len(values)} of {len(launch.header)} values")
    except ValueError:
        notes.add("a row that is cut or mixed with another, not used", line)
        return
    if launch.lines and values[0] <= launch.row(-1)[0]:
        if values == launch.row(-1):
            notes.add("a row that repeats the one before, not used", line)
            return
        launch = _back(launches, values[0], line, notes)
    launch.append(values, line)
    launch.absent |= absent


def _back(launches: list[Launch], epoch: float, line: int, notes: Notes) -> Launch:
    """Return where a row goes whose epoch number went back: a new run from the start, else an attempt."""
    launch = launches[-1]
    if epoch == launch.row(0)[0]:
        notes.add("epochs begin anew: another run", line)
        launches.append(Launch(launch.header))
        return launches[-1]
    launch.attempt += 1
    while launch.lines and launch.row(-1)[0] >= epoch:
        notes.add("a row that a later one supersedes (resumed training), not used", launch.drop_last())
    return launch


def _run(launch: Launch, path: Path, name: str) -> RunData:
    facts = {"name": name, "origin": str(path), "status": "finished"}
    data = RunData(run=name, file=str(path), facts=facts)
    table = np.array(launch.numbers).reshape(-1, len(launch.header))
    lines, attempts = np.array(launch.lines), np.array(launch.attempts)
    for column, metric in enumerate(launch.header[1:], start=1):
        there = np.array([(line, column) not in launch.absent for line in launch.lines])
        data.add(
            metric,
            MEASURED,
            table[there, 0].astype("int64") + 1,
            table[there, column],
            line=lines[there],
            attempt=attempts[there],
        )
    return data
