"""`training.log` files of arcface_torch: printed losses, speeds, evaluations every so many steps.

The printed losses (each a mean since the print before) become one mean an epoch, marked inferred;
evaluations keep their step and get the epoch in which they fell. Epochs are printed 0-based.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from analysis.frames import INFERRED, PARSED, Note, Notes, RunData
from analysis.sources.lines import EpochMeans, ascending, columns, launches_in, set_name
from analysis.sources.mxnet_log import BESIDE
from analysis.sources.options import Options
from workbench.names import SECONDS

START_OF_SPEED = rb"^Training: .{23}-Speed (\d+\.\d+) samples/sec +Loss (\d+\.\d{4}|nan|inf) +"
END_OF_SPEED = rb"Epoch: (\d+) +Global Step: (\d+) +(?:Fp16 Grad Scale: *[\d.]+ +)?Required: -?\d+ hours *$"
SPEED = re.compile(START_OF_SPEED + END_OF_SPEED, re.MULTILINE)
SPEED_AND_RATE = re.compile(
    START_OF_SPEED + END_OF_SPEED.replace(rb"Epoch", rb"LearningRate (\d+\.\d+) +Epoch", 1), re.MULTILINE
)
LINE = re.compile(rb"Training: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3}-(.*)", re.DOTALL)
EVALUATION = re.compile(
    rb"\[([^\[\]]+)\]\[(\d+)\](Accuracy-Flip|XNorm|Best-Threshold): (\d+\.\d{5,6}|nan|inf)(?:\+-(\d+\.\d{5}))?"
)
START = re.compile(rb"rank_id: \d+|world_size: .*")
SETTING = re.compile(rb": ?(\w+) {2,}(\S.*)")
CONTEXT = re.compile(
    rb"softmax weight (?:mom )?init successfully!$|Reducer buckets have been rebuilt|\[[^\[\]]+\]\[\d+\]Accuracy-Highest: [\d.]+$"
)
STAMPED = slice(10, 29)  # where the time stands in a line: `Training: 2021-03-14 21:40:01,151-`
TOTAL = re.compile(rb"Total Step is: ?(\d+)")


@dataclass
class Launch:
    """What one start of the program left in the log; epochs are 0-based as printed."""

    means: EpochMeans = field(default_factory=lambda: EpochMeans(["images_per_second", "loss"]))
    # Metric, epoch, value, step, line.
    rows: list[tuple[str, int, float, int, int]] = field(default_factory=list)
    rates: dict[int, tuple[float, int, int]] = field(default_factory=dict)  # epoch: rate, step, line
    seen: set[tuple[str, int]] = field(default_factory=set)
    settings: dict[str, str | int] = field(default_factory=dict)
    highest: int = -1
    epoch: int = 0
    # Epoch: time and line of its last speed.
    clock: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    stamps: list[bytes] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.rows or self.means.count)


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return one run a launch, and the remarks. Raises `RecordError` for a file that cannot be read."""
    notes = Notes(str(path))
    launches = launches_in(
        path,
        Launch,
        frequent=b"-Speed ",
        many=lambda launch, lines, numbers: _speeds(launch, lines, numbers, notes),
        begins=lambda launch, line: b"rank_id: " in line and not launch.empty,
        one=lambda launch, line, number, cut: _line(launch, line, number, notes, cut),
    )
    launches = [launch for launch in launches if not launch.empty]
    name = path.stem.removesuffix(".training")
    runs = [
        _run(launch, path, f"{name}#{number}" if len(launches) > 1 else name)
        for number, launch in enumerate(launches, start=1)
    ]
    return runs, notes.all()


def _speeds(launch: Launch, lines: list[bytes], numbers: list[int], notes: Notes) -> None:
    """Take in consecutive speed lines: means of loss and speed, the last learning rate, by epoch."""
    rated = b" LearningRate " in lines[0]
    found, kept, bad = columns(SPEED_AND_RATE if rated else SPEED, lines, numbers)
    for number in bad:
        notes.add("a speed line that is cut or mixed with another, not used", number)
    forward, launch.highest = ascending(found[:, -1].astype("int64"), launch.highest)
    for number in kept[~forward].tolist():
        notes.add("a step that repeats or goes back (two programs in one file?), not used", number)
    found, kept = found[forward], kept[forward]
    if not len(found):
        return
    epochs, steps = found[:, -2].astype("int64"), found[:, -1].astype("int64")
    launch.means.add(epochs, found[:, :2], kept, steps)
    _note_times(launch, lines, numbers, kept, epochs)
    launch.epoch = int(epochs[-1])
    if rated:
        for rate, epoch, step, number in zip(
            found[:, 2].tolist(), epochs.tolist(), steps.tolist(), kept.tolist()
        ):
            launch.rates[epoch] = (rate, step, number)


def _note_times(
    launch: Launch, lines: list[bytes], numbers: list[int], kept: np.ndarray, epochs: np.ndarray
) -> None:
    """Note the time of each epoch's last speed line: nine tenths of a log are such lines."""
    position = {number: at for at, number in enumerate(numbers)}
    ends = np.flatnonzero(np.append(epochs[1:] != epochs[:-1], True)).tolist()
    launch.stamps[1:] = [lines[position[int(kept[0])]][STAMPED]] if not launch.stamps else launch.stamps[1:]
    for end in ends:
        stamp = lines[position[int(kept[end])]][STAMPED]
        launch.clock[int(epochs[end])] = (stamp, int(kept[end]))
        launch.stamps[1:] = [stamp]


def _line(launch: Launch, line: bytes, number: int, notes: Notes, cut: bool) -> None:
    match = LINE.fullmatch(line)
    text = match[2] if match else b""
    if match:
        launch.stamps[1:] = [match[1]]
    if found := EVALUATION.fullmatch(text):
        name, step = set_name(found[1].decode("utf-8", "replace")), int(found[2])
        metric = name + BESIDE.get(found[3], "")
        if (metric, step) in launch.seen:
            notes.add("an evaluation that was there before is repeated; the first is used", number)
            return
        launch.seen.add((metric, step))
        launch.rows.append((metric, launch.epoch, float(found[4]), step, number))
        if found[5]:
            launch.rows.append((f"{name}_tenfold_std", launch.epoch, float(found[5]), step, number))
    elif found := TOTAL.fullmatch(text):
        launch.settings["total_step"] = int(found[1])
    elif found := SETTING.fullmatch(text):
        launch.settings[found[1].decode()] = found[2].decode("utf-8", "replace").strip()
    elif cut and line:
        notes.add("the log is cut in the middle of this line, which is not used", number)
    elif line and not (START.fullmatch(text) or CONTEXT.match(text)):
        notes.add("not understood (cut, mixed with another line, or another program's)", number)


def _run(launch: Launch, path: Path, name: str) -> RunData:
    data = RunData(run=name, file=str(path), settings=dict(launch.settings))
    times = [_moment(stamp) for stamp in launch.stamps]
    data.facts = {
        "name": name,
        "origin": str(path),
        "status": "finished",
        "started": times[0] if times else None,
        "seconds": (times[-1] - times[0]).total_seconds() if times[1:] else None,
    }
    for metric in dict.fromkeys(row[0] for row in launch.rows):
        rows = [row for row in launch.rows if row[0] == metric]
        epochs, values = [row[1] + 1 for row in rows], [row[2] for row in rows]
        data.add(metric, PARSED, epochs, values, step=[row[3] for row in rows], line=[row[4] for row in rows])
    for metric in ("loss", "images_per_second"):
        epochs, means, lines = launch.means.mean(metric)
        steps = [launch.means.last_step[epoch] for epoch in epochs]
        data.add(metric, INFERRED, [epoch + 1 for epoch in epochs], means, step=steps, line=lines)
    for epoch, (rate, step, line) in sorted(launch.rates.items()):
        data.add("lr", PARSED, epoch + 1, rate, step=step, line=line)
    _add_seconds(launch, data)
    return data


def _moment(stamp: bytes) -> datetime:
    return datetime.strptime(stamp.decode(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)


def _add_seconds(launch: Launch, data: RunData) -> None:
    """Add each epoch's duration: from the last speed line of the epoch before it to its own."""
    before = _moment(launch.stamps[0]) if launch.stamps else None
    for epoch, (stamp, line) in sorted(launch.clock.items()):
        now = _moment(stamp)
        if before is not None and now > before:
            data.add(SECONDS, INFERRED, epoch + 1, (now - before).total_seconds(), line=line)
        before = now
