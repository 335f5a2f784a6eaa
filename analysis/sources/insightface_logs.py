"""What the logs of insightface's two programs have in common: launches in one file, like lines, evaluations at steps.

A log of 100 MB is mostly one kind of line. Matching and converting those a block at a time, in C, is what makes 30
MB/s possible; everything rare goes line by line. `mxnet_log` and `arcface_torch_log` know how the lines of each look.
"""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import ClassVar

import numpy as np

from analysis.frames import MISSING, Note, Notes, RunData
from analysis.sources.lines import blocks, set_name
from analysis.sources.values import Value, add_values, names_of, run_of
from workbench.names import NORM_SUFFIX, TENFOLD_STD_SUFFIX, THRESHOLD_SUFFIX

EVALUATION = re.compile(
    rb"\[([^\[\]]+)\]\[(\d{1,15})\](Accuracy-Flip|Accuracy|XNorm|Best-Threshold): (\d+\.\d{5,6}|nan|inf)(?:\+-(\d+\.\d{5}))?"
)
BESIDE = {b"XNorm": NORM_SUFFIX, b"Best-Threshold": THRESHOLD_SUFFIX}  # what is printed beside an accuracy
CUT = "the log is cut in the middle of this line, which is not used"
UNKNOWN_LINE = "not understood (cut, mixed with another line, or another program's)"
Place = Callable[[np.ndarray], np.ndarray]


def columns(
    pattern: re.Pattern[bytes], lines: Sequence[bytes], numbers: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Match many like lines at once.

    `pattern` matches one whole line (`^...$`, multi-line) with at least two groups, each a number. Returns
    the numbers as a (lines, groups) array, the line numbers that matched, and those that did not.
    """
    found = pattern.findall(b"\n".join(lines))
    bad: list[int] = []
    if len(found) != len(lines):
        matches = [pattern.fullmatch(line) for line in lines]
        found = [match.groups() for match in matches if match]
        bad = [number for number, match in zip(numbers, matches, strict=True) if not match]
        numbers = [number for number, match in zip(numbers, matches, strict=True) if match]
    flat = np.fromiter(map(float, itertools.chain.from_iterable(found)), "float64")
    return flat.reshape(-1, pattern.groups), np.asarray(numbers, dtype=np.int64), bad


class EpochMeans:
    """Sums of printed values by epoch, so that memory depends on the number of epochs alone."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.count: dict[int, int] = {}
        self.last_line: dict[int, int] = {}
        self.last_step: dict[int, int] = {}
        self._sums: dict[int, np.ndarray] = {}

    def add(self, epochs: np.ndarray, values: np.ndarray, lines: np.ndarray, steps: np.ndarray) -> None:
        """Add lines: their epochs, their values (lines, names), their numbers and their steps."""
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            self._sums[epoch] = self._sums.get(epoch, 0.0) + values[here].sum(axis=0)
            self.count[epoch] = self.count.get(epoch, 0) + int(here.sum())
            self.last_line[epoch] = int(lines[here][-1])
            self.last_step[epoch] = int(steps[here][-1])

    def mean(self, name: str) -> tuple[list[int], list[float], list[int]]:
        """Return epochs, means and last line numbers."""
        position = self.names.index(name)
        epochs = sorted(self.count)
        means = [float(self._sums[epoch][position]) / self.count[epoch] for epoch in epochs]
        return epochs, means, [self.last_line[epoch] for epoch in epochs]


@dataclass
class Launch(ABC):
    """What one start of the training program left in the log; epochs are 0-based as printed."""

    FREQUENT: ClassVar[bytes]  # what nine tenths of the lines hold
    THING: ClassVar[str]  # what such a line tells of

    means: EpochMeans
    values: list[Value] = field(default_factory=list)
    epoch: int = 0  # in which what is printed now falls
    highest: int = -1  # place of the last frequent line: a lower one is of another program, or again
    stamps: list[bytes] = field(default_factory=list)  # the first time stamp and the latest
    settings: dict[str, object] = field(default_factory=dict)
    _seen: set[tuple[str, int]] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        return not (self.values or self.means.count)

    @abstractmethod
    def ends_at(self, line: bytes) -> bool:
        """Tell whether another launch begins with a line."""

    @abstractmethod
    def take(self, line: bytes, number: int, cut: bool, notes: Notes) -> None:
        """Take in a line; `cut` tells that its end may be missing."""

    @abstractmethod
    def take_frequent(self, lines: list[bytes], numbers: list[int], notes: Notes) -> None:
        """Take in consecutive lines that hold `FREQUENT`."""

    def matched(
        self, form: re.Pattern[bytes], lines: list[bytes], numbers: list[int], place: Place, notes: Notes
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of frequent lines that can be used (lines, groups of `form`) and the lines' own numbers.

        `place` says of them where in the training they were printed. What does not fit or goes back is reported.
        """
        found, kept, bad = columns(form, lines, numbers)
        for number in bad:
            notes.add(f"a {self.THING} line that is cut or mixed with another, not used", number)
        places = place(found.astype("int64"))
        reached = np.maximum.accumulate(np.concatenate([[self.highest], places]))
        self.highest, forward = int(reached[-1]), places > reached[:-1]
        again = f"a {self.THING} line that repeats or goes back (two programs in one file?), not used"
        for number in kept[~forward].tolist():
            notes.add(again, number)
        return found[forward], kept[forward]

    def stamp(self, text: bytes) -> None:
        """Note the time stamp of a line."""
        self.stamps[1:] = [text]

    def add(self, value: Value, notes: Notes) -> bool:
        """Take in a value unless it was there before; return whether it was new."""
        key = (value.metric, -1 - value.epoch if value.step == MISSING else value.step)
        if key in self._seen:
            notes.add("a value that was there before is repeated; the first is used", value.line)
            return False
        self._seen.add(key)
        self.values.append(value)
        return True

    def add_evaluation(self, found: re.Match[bytes], line: int, notes: Notes) -> None:
        """Take in an accuracy with its deviation over ten folds, or what is printed beside one."""
        name, step = set_name(found[1].decode("utf-8", "replace")), int(found[2])
        value = Value(name + BESIDE.get(found[3], ""), self.epoch, float(found[4]), line, step)
        if self.add(value, notes) and found[5]:
            self.add(value._replace(metric=name + TENFOLD_STD_SUFFIX, value=float(found[5])), notes)

    def run(self, path: Path, name: str) -> RunData:
        """Return the launch as a run with the values that were printed as they are."""
        data = run_of(path, name)
        times = [time for stamp in self.stamps if (time := moment(stamp))]
        data.facts["started"] = times[0] if times else None
        span = (times[-1] - times[0]).total_seconds() if times else 0.0
        data.facts["seconds"] = span if span > 0 else None
        data.settings = {name: value for name, value in self.settings.items() if value not in (None, "")}
        add_values(data, (value._replace(epoch=value.epoch + 1) for value in self.values))
        return data


def read_launches(path: Path, name: str, kind: type[Launch]) -> tuple[list[RunData], list[Note]]:
    """Return one run a launch, and the remarks. Raises `RecordError` for a file that cannot be read."""
    notes, launches = Notes(str(path)), [kind()]
    for first, lines, cut in blocks(path):
        waiting: list[int] = []
        for position, line in enumerate([*lines, None]):
            if line is not None and kind.FREQUENT in line:
                waiting.append(position)
                continue
            if waiting:
                own = [lines[i] for i in waiting]
                launches[-1].take_frequent(own, [first + i for i in waiting], notes)
                waiting = []
            if line is not None:
                if launches[-1].ends_at(line):
                    launches.append(kind())
                launches[-1].take(line, first + position, cut, notes)
    launches = [launch for launch in launches if not launch.empty]
    names = names_of(name, len(launches))
    return [launch.run(path, name) for launch, name in zip(launches, names, strict=True)], notes.all()


def moment(stamp: bytes) -> datetime | None:
    """Return a time as printed, taken for UTC; None for digits that are no time."""
    try:
        return datetime.fromisoformat(stamp.decode()).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
