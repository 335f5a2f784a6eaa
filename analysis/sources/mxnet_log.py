"""Console logs of MXNet insightface trainings: one or several launches in one file.

Evaluations keep their step and get the epoch in which they fell; settings come from the `Namespace(...)`
line; the learning rate is printed every 1000 batches (parsed) and, for the end of each epoch, follows
from `lr_steps` (inferred: divided by ten at each). Batch lines, nine tenths of such a log, become a mean
speed an epoch (inferred). A line that is none of the known kinds is reported by its number.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import INFERRED, PARSED, Note, Notes, RunData
from analysis.sources.lines import EpochMeans, ascending, columns, launches_in, set_name
from analysis.sources.options import Options

DATE = rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"
# What stands before a message: a time in brackets or not, and the name of the logger as its format has it.
PREFIX = (
    rb"(?:\[?(?:" + DATE + rb")(?:[,.]\d+)?\]?(?: ?[-:])? {0,2})?"
    rb"(?:\[?(?:(?:INFO|WARNING|root|insightface|Node\[\d+\])\s*(?:[:|-]\s*)?\]?\s*)+)?"
)
STAMP = re.compile(rb"\[?(" + DATE + rb")")
BATCH = re.compile(
    rb"^" + PREFIX + rb"(?:Epoch|Iter)\[(\d+)\] Batch \[(?:\d+-)?(\d+)\]\s+"
    rb"Speed: (\d+\.\d+) samples/sec(?:\s+[a-z][a-z_-]{0,20}=(?:-?\d+\.\d{6}|nan|-?inf)){0,4}\s*$",
    re.MULTILINE,
)
MESSAGE = re.compile(PREFIX + rb"(.*)", re.DOTALL)
TRAIN = re.compile(rb"Epoch\[(\d+)\] (Train|Validation)-(\w[\w-]*)=(-?\d+\.\d{6}(?:e[-+]\d+)?|nan|-?inf)")
PLAIN = {"acc": "accuracy", "lossvalue": "loss"}  # their names for them
SECONDS = re.compile(rb"Epoch\[(\d+)\] Time cost=(\d+\.\d{3})")
BESIDE = {b"XNorm": "_xnorm", b"Best-Threshold": "_thresh"}  # what is printed beside an accuracy
EVALUATION = re.compile(
    rb"\[([^\[\]]+)\]\[(\d+)\](Accuracy-Flip|Accuracy|XNorm|Best-Threshold): (\d+\.\d{5,6}|nan|inf)(?:\+-(\d+\.\d{5}))?"
)
RATE = re.compile(rb"lr-batch-epoch: (\S+) (\d+) (\d+)")
NAMESPACE = re.compile(rb"Called with argument: Namespace\((.*)\)(?: .*)?")
ARGUMENT = re.compile(r"(\w+)=('[^']*'|\[[^\]]*\]|\([^)]*\)|[^,()]+)")
STEPS = re.compile(rb"lr_steps (\[[\d, ]*\])")
CHANGE = re.compile(rb"lr change to (\S+)")
# Of train_parall.
MEASURE = re.compile(rb"\{fc7_acc\} (\d+) (\d+\.?\d*(?:e[-+]\d+)?)|CELOSS,(\d+),(\d+\.\d+|nan|inf)")
UNKNOWN = -1  # the epoch of a log whose head is cut off, until a line says it
ENDED = b"Task is force ended by user"
# what such a log says beside numbers of a training; anything else is reported
CONTEXT = re.compile(
    rb"""\s*$ | \# | testing\ verification | infer\ time\ [\d.]+$ | loading\ bin\ \d+$ | ver\ \w+$ | saving\ \d+$
    | \(\d+L?,(?:\ \d+L?,?)*\)$ | \[\d+\]\ ?Accuracy-Highest:\ [\d.]+$ | Saved\ checkpoint\ to\ " | call\ reset\(\)$
    | (?:gpu\ num:|num_layers|image_size|num_classes|rand_mirror|id2range|init|header0\ label|loading)\ \S
    | \d+$ | loading\ recordio | \S+\.py:\d+:\ \w*Warning:\ | \ \ +\w | \[[\d:]+\]\ src/operator/ """,
    re.VERBOSE,
)


@dataclass
class Launch:
    """What one start of the training program left in the log; epochs are 0-based as printed."""

    arguments: dict[str, Any] = field(default_factory=dict)
    arguments_line: int = 0
    means: EpochMeans = field(default_factory=lambda: EpochMeans(["images_per_second"]))
    # Metric, epoch, value, step, line.
    rows: list[tuple[str, int, float, int, int]] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    highest: int = -1
    printed_epoch: int = UNKNOWN
    batch: int = -1
    epoch_steps: int | None = None  # steps of an epoch, exact, from a step and the batch it fell on
    stamps: list[bytes] = field(default_factory=list)
    # Epoch, learning rate from then on, line.
    changes: list[tuple[int, float, int]] = field(default_factory=list)
    killed: bool = False

    @property
    def empty(self) -> bool:
        return not (self.rows or self.means.count)

    @property
    def untouched(self) -> bool:
        return self.empty and not self.arguments


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return one run a launch, and the remarks. Raises `RecordError` for a file that cannot be read."""
    notes = Notes(str(path))
    launches = launches_in(
        path,
        Launch,
        frequent=b"] Batch [",
        many=lambda launch, lines, numbers: _batches(launch, lines, numbers, notes),
        begins=lambda launch, line: b"Called with argument" in line and not launch.untouched,
        one=lambda launch, line, number, cut: _line(launch, line, number, notes, cut),
    )
    runs = [_run(launch, path, number) for number, launch in enumerate(launches, 1) if not launch.empty]
    if len(runs) == 1:
        runs[0].run = path.stem
        runs[0].facts["name"] = path.stem
    return runs, notes.all()


def _batches(launch: Launch, lines: list[bytes], numbers: list[int], notes: Notes) -> None:
    """Take in consecutive batch lines: mean speed by epoch; what does not fit or goes back is reported."""
    found, kept, bad = columns(BATCH, lines, numbers)
    for number in bad:
        notes.add("a batch line that is cut or mixed with another", number)
    if not len(found):
        return
    epochs, batches = found[:, 0].astype("int64"), found[:, 1].astype("int64")
    forward, launch.highest = ascending((epochs << 32) + batches, launch.highest)
    for number in kept[~forward].tolist():
        notes.add("a batch line that repeats or goes back (two programs in one file?), not used", number)
    epochs, batches, speed, kept = (
        epochs[forward],
        batches[forward],
        found[forward, 2],
        kept[forward],
    )
    if len(epochs):
        _at_epoch(launch, int(epochs[0]))
        launch.means.add(epochs, speed[:, None], kept, batches)
        launch.printed_epoch, launch.batch = int(epochs[-1]), int(batches[-1])
    for line in (lines[0], lines[-1]):
        if stamp := STAMP.match(line):
            launch.stamps[1:] = [stamp[1]]


def _at_epoch(launch: Launch, epoch: int) -> None:
    """Note the epoch that a line names; values before it in a log without a head fell into the same."""
    if launch.printed_epoch == UNKNOWN:
        launch.rows = [
            (metric, epoch, *rest) if at == UNKNOWN else (metric, at, *rest)
            for metric, at, *rest in launch.rows
        ]
    launch.printed_epoch = epoch


def _line(launch: Launch, line: bytes, number: int, notes: Notes, cut: bool) -> None:
    match = MESSAGE.fullmatch(line)
    assert match is not None  # every part of the pattern is optional
    text = match[1]
    if stamp := STAMP.match(line):
        launch.stamps[1:] = [stamp[1]]  # the first and the latest
    if found := EVALUATION.fullmatch(text):
        _evaluation(launch, found, number, notes)
    elif found := RATE.fullmatch(text):
        _at_epoch(launch, int(found[3]))
        launch.batch = int(found[2])
        launch.rows.append(("lr", launch.printed_epoch, float(found[1]), -(launch.batch + 1), number))
    elif found := CHANGE.fullmatch(text):
        launch.changes.append((launch.printed_epoch, number_of(found[1]), number))
    elif found := MEASURE.fullmatch(text):
        _measure(launch, found, number, notes)
    elif found := TRAIN.fullmatch(text):
        _at_epoch(launch, int(found[1]))
        name = found[3].decode()
        metric = ("" if found[2] == b"Train" else "val_") + PLAIN.get(name, name.replace("-", "_"))
        _once(launch, metric, int(found[1]), float(found[4]), -1, number, notes)
    elif found := SECONDS.fullmatch(text):
        _once(launch, "seconds", int(found[1]), float(found[2]), -1, number, notes)
    elif found := NAMESPACE.fullmatch(text):
        launch.printed_epoch = max(launch.printed_epoch, 0)  # the log has its head: it begins with epoch 0
        launch.arguments, launch.arguments_line = _arguments(found[1].decode("utf-8", "replace")), number
    elif found := STEPS.fullmatch(text):
        if not launch.arguments.get("lr_steps"):  # none given: the printed list is what is used
            launch.arguments["lr_steps"] = found[1].decode().strip("[]")
    elif text == ENDED:
        launch.killed = True
    elif cut:
        notes.add("the log is cut in the middle of this line, which is not used", number)
    elif not CONTEXT.match(text):
        notes.add("not understood (cut, mixed with another line, or another program's)", number)


def _evaluation(launch: Launch, found: re.Match[bytes], number: int, notes: Notes) -> None:
    name, step = set_name(found[1].decode("utf-8", "replace")), int(found[2])
    if found[3] in BESIDE:
        _once(launch, name + BESIDE[found[3]], launch.printed_epoch, float(found[4]), step, number, notes)
        return
    if launch.printed_epoch > 0 and step > launch.batch + 1:
        launch.epoch_steps = (step - launch.batch - 1) // launch.printed_epoch
    new = _once(launch, name, launch.printed_epoch, float(found[4]), step, number, notes)
    if new and found[5]:
        _once(launch, f"{name}_tenfold_std", launch.printed_epoch, float(found[5]), step, number, notes)


def number_of(text: bytes) -> float:
    """Return a printed number; NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _measure(launch: Launch, found: re.Match[bytes], number: int, notes: Notes) -> None:
    """Take in what train_parall prints of a step: its accuracy on the batch, or its loss."""
    metric, step, value = ("accuracy", found[1], found[2]) if found[1] else ("loss", found[3], found[4])
    _once(launch, f"batch_{metric}", launch.printed_epoch, float(value), int(step), number, notes)


def _once(
    launch: Launch, metric: str, epoch: int, value: float, step: int, number: int, notes: Notes
) -> bool:
    """Take in a value unless it was there before; return whether it was new."""
    key = (metric, step if step >= 0 else -1 - epoch)
    if key in launch.seen:
        notes.add("a value that was there before is repeated; the first is used", number)
        return False
    launch.seen.add(key)
    launch.rows.append((metric, epoch, value, step, number))
    return True


def _arguments(text: str) -> dict[str, Any]:
    found = {}
    for name, value in ARGUMENT.findall(text):
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def _run(launch: Launch, path: Path, number: int) -> RunData:
    data = RunData(run=f"{path.stem}#{number}", file=str(path))
    _at_epoch(launch, max(launch.printed_epoch, 0))  # where no line says an epoch there is one
    times = [
        datetime.strptime(s.decode(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) for s in launch.stamps
    ]
    costs = sum(row[2] for row in launch.rows if row[0] == "seconds")
    data.facts = {
        "name": data.run,
        "origin": str(path),
        "status": "killed" if launch.killed else "finished",
        "started": times[0] if times else None,
        "seconds": (times[-1] - times[0]).total_seconds() if times[1:] else costs or None,
    }
    data.settings = {name: value for name, value in launch.arguments.items() if value not in (None, "")}
    for metric in dict.fromkeys(row[0] for row in launch.rows):
        rows = [row for row in launch.rows if row[0] == metric]
        steps = [_step(launch, epoch, step) for _, epoch, _, step, _ in rows]
        epochs = [row[1] + 1 for row in rows]
        data.add(metric, PARSED, epochs, [row[2] for row in rows], step=steps, line=[row[4] for row in rows])
    _batch_means(data)
    epochs, speeds, lines = launch.means.mean("images_per_second")
    data.add("images_per_second", INFERRED, [epoch + 1 for epoch in epochs], speeds, line=lines)
    _inferred_rates(launch, data)
    return data


def _batch_means(data: RunData) -> None:
    """Add the means by epoch of what is printed of single batches, where nothing better is."""
    known = {metric: block for metric, _, _, block in data.values}
    for metric, block in known.items():
        name = metric.removeprefix("batch_")
        if name != metric and name not in known:
            epochs, position, count = np.unique(block["epoch"], return_inverse=True, return_counts=True)
            data.add(name, INFERRED, epochs, np.bincount(position, block["value"]) / count)


def _step(launch: Launch, epoch: int, step: int) -> int:
    """Return the global step; rows that know only their batch (negative) need the length of an epoch."""
    if step >= 0 or step == -1:
        return step
    if epoch == 0:
        return -step
    return -1 if launch.epoch_steps is None else epoch * launch.epoch_steps - step


def _inferred_rates(launch: Launch, data: RunData) -> None:
    """Add the learning rate of each epoch's last printed batch as `lr` and `lr_steps` imply it."""
    rate, text = launch.arguments.get("lr"), str(launch.arguments.get("lr_steps", ""))
    known = sorted(launch.means.last_step)
    for epoch, value, line in launch.changes:
        data.add("lr", PARSED, max(epoch, 0) + 1, value, line=line)
    if not isinstance(rate, float | int) or not re.fullmatch(r"[\d, ]*", text):
        return
    drops = [int(step) for step in re.findall(r"\d+", text)]
    if known[1:] and launch.epoch_steps is None:
        known = known[:1]  # later steps are not known
    for epoch in known:
        step = epoch * (launch.epoch_steps or 0) + launch.means.last_step[epoch] + 1
        value = rate * 0.1 ** sum(drop <= step for drop in drops)
        data.add("lr", INFERRED, epoch + 1, value, step=step, line=launch.arguments_line or -1)
