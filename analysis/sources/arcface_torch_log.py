"""`training.log` files of arcface_torch: printed losses, speeds, evaluations every so many steps.

The printed losses (each a mean since the print before) become one mean an epoch, marked inferred;
evaluations keep their step and get the epoch in which they fell. Epochs are printed 0-based.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from analysis.frames import INFERRED, PARSED, Note, Notes, RunData
from analysis.sources.lines import EpochMeans, ascending, columns, launches_in

START_OF_SPEED = rb"^Training: .{23}-Speed (\d+\.\d+) samples/sec +Loss (\d+\.\d{4}|nan|inf) +"
END_OF_SPEED = rb"Epoch: (\d+) +Global Step: (\d+) +(?:Fp16 Grad Scale: *[\d.]+ +)?Required: -?\d+ hours *$"
SPEED = re.compile(START_OF_SPEED + END_OF_SPEED, re.MULTILINE)
SPEED_AND_RATE = re.compile(
    START_OF_SPEED + END_OF_SPEED.replace(rb"Epoch", rb"LearningRate (\d+\.\d+) +Epoch", 1), re.MULTILINE
)
LINE = re.compile(rb"Training: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3}-(.*)", re.DOTALL)
EVALUATION = re.compile(
    rb"\[([\w.-]+)\]\[(\d+)\](Accuracy-Flip|XNorm): (\d+\.\d{5,6}|nan|inf)(?:\+-(\d+\.\d{5}))?"
)
START = re.compile(rb"rank_id: \d+|world_size: .*")
SETTING = re.compile(rb": ?(\w+) {2,}(\S.*)")
CONTEXT = re.compile(
    rb"softmax weight (?:mom )?init successfully!$|Reducer buckets have been rebuilt|\[\w+\]\[\d+\]Accuracy-Highest: [\d.]+$"
)
TOTAL = re.compile(rb"Total Step is: ?(\d+)")


@dataclass
class Launch:
    """What one start of the program left in the log; epochs are 0-based as printed."""

    means: EpochMeans = field(default_factory=lambda: EpochMeans(["images_per_second", "loss"]))
    rows: list[tuple[str, int, float, int, int]] = field(
        default_factory=list
    )  # metric, epoch, value, step, line
    rates: dict[int, tuple[float, int, int]] = field(default_factory=dict)  # epoch: rate, step, line
    seen: set[tuple[str, int]] = field(default_factory=set)
    settings: dict[str, str | int] = field(default_factory=dict)
    highest: int = -1
    epoch: int = 0
    stamps: list[bytes] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.rows or self.means.count)


def read(path: Path) -> tuple[list[RunData], list[Note]]:
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
    launch.epoch = int(epochs[-1])
    if rated:
        for rate, epoch, step, number in zip(
            found[:, 2].tolist(), epochs.tolist(), steps.tolist(), kept.tolist()
        ):
            launch.rates[epoch] = (rate, step, number)


def _line(launch: Launch, line: bytes, number: int, notes: Notes, cut: bool) -> None:
    match = LINE.fullmatch(line)
    text = match[2] if match else b""
    if match:
        launch.stamps[1:] = [match[1]]
    if found := EVALUATION.fullmatch(text):
        name, step = found[1].decode(), int(found[2])
        metric = f"{name}_xnorm" if found[3] == b"XNorm" else name
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
    times = [
        datetime.strptime(s.decode(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) for s in launch.stamps
    ]
    data.facts = {
        "name": name,
        "origin": str(path),
        "status": "finished",
        "started": times[0] if times else None,
        "seconds": (times[-1] - times[0]).total_seconds() if times else None,
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
    return data
