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
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import INFERRED, MISSING, PARSED, Note, Notes, RunData
from analysis.sources import insightface_logs
from analysis.sources.insightface_logs import BESIDE, CUT, EVALUATION, UNKNOWN_LINE, EpochMeans, read_launches
from analysis.sources.options import Options
from analysis.sources.values import Value

DATE = rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"
# What stands before a message: a time in brackets or not, and the name of the logger as its format has it.
PREFIX = (
    rb"(?:\[?(?:" + DATE + rb")(?:[,.]\d+)?\]?(?: ?[-:])? {0,2})?"
    rb"(?:\[?(?:(?:INFO|WARNING|root|insightface|Node\[\d+\])\s*(?:[:|-]\s*)?\]?\s*)+)?"
)
STAMP = re.compile(rb"\[?(" + DATE + rb")")
BATCH = re.compile(
    rb"^" + PREFIX + rb"(?:Epoch|Iter)\[(\d{1,8})\] Batch \[(?:\d+-)?(\d{1,8})\]\s+"
    rb"Speed: (\d+\.\d+) samples/sec(?:\s+[a-z][a-z_-]{0,20}=(?:-?\d+\.\d{6}|nan|-?inf)){0,4}\s*$",
    re.MULTILINE,
)
MESSAGE = re.compile(PREFIX + rb"(.*)", re.DOTALL)
TRAIN = re.compile(rb"Epoch\[(\d{1,8})\] (Train|Validation)-(\w[\w-]*)=(-?\d+\.\d{6}(?:e[-+]\d+)?|nan|-?inf)")
PLAIN = {"acc": "accuracy", "lossvalue": "loss"}  # their names for them
SECONDS = re.compile(rb"Epoch\[(\d{1,8})\] Time cost=(\d+\.\d{3})")
RATE = re.compile(rb"lr-batch-epoch: (\S+) (\d{1,8}) (\d{1,8})")
NAMESPACE = re.compile(rb"Called with argument: Namespace\((.*)\)(?: .*)?")
ARGUMENT = re.compile(r"(\w+)=('[^']*'|\[[^\]]*\]|\([^)]*\)|[^,()]+)")
STEPS = re.compile(rb"lr_steps (\[[\d, ]*\])")
CHANGE = re.compile(rb"lr change to (\S+)")
# Of train_parall.
MEASURE = re.compile(rb"\{fc7_acc\} (\d{1,15}) (\d+\.?\d*(?:e[-+]\d+)?)|CELOSS,(\d{1,15}),(\d+\.\d+|nan|inf)")
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
class Launch(insightface_logs.Launch):
    """What one start of the training program left in the log; epochs are 0-based as printed.

    A step below MISSING is a place within its epoch, negative, until the length of an epoch is known.
    """

    FREQUENT, THING = b"] Batch [", "batch"

    means: EpochMeans = field(default_factory=lambda: EpochMeans(["images_per_second"]))
    epoch: int = UNKNOWN
    settings_line: int = MISSING
    batch: int = -1
    epoch_steps: int | None = None  # steps of an epoch, exact, from a step and the batch it fell on
    # Epoch, learning rate from then on, line.
    changes: list[tuple[int, float, int]] = field(default_factory=list)
    killed: bool = False

    def ends_at(self, line: bytes) -> bool:
        return b"Called with argument" in line and not (self.empty and not self.settings)

    def take_frequent(self, lines: list[bytes], numbers: list[int], notes: Notes) -> None:
        """Take in consecutive batch lines: mean speed by epoch."""
        found, kept = self.matched(BATCH, lines, numbers, lambda own: (own[:, 0] << 32) + own[:, 1], notes)
        if len(found):
            epochs, batches = found[:, 0].astype("int64"), found[:, 1].astype("int64")
            self.begin(int(epochs[0]))
            self.means.add(epochs, found[:, 2:], kept, batches)
            self.epoch, self.batch = int(epochs[-1]), int(batches[-1])
            for line in (lines[0], lines[-1]):
                if stamp := STAMP.match(line):
                    self.stamp(stamp[1])

    def begin(self, epoch: int) -> None:
        """Note the epoch that a line names; values before it in a log without a head fell into the same."""
        if self.epoch == UNKNOWN:
            self.values = [v._replace(epoch=epoch) if v.epoch == UNKNOWN else v for v in self.values]
        self.epoch = epoch

    def take(self, line: bytes, number: int, cut: bool, notes: Notes) -> None:
        """Take in any other line."""
        match = MESSAGE.fullmatch(line)
        assert match is not None  # every part of the pattern is optional
        text = match[1]
        if stamp := STAMP.match(line):
            self.stamp(stamp[1])
        if found := EVALUATION.fullmatch(text):
            step = int(found[2])
            if found[3] not in BESIDE and self.epoch > 0 and step > self.batch + 1:
                self.epoch_steps = (step - self.batch - 1) // self.epoch
            self.add_evaluation(found, number, notes)
        elif found := RATE.fullmatch(text):
            self.begin(int(found[3]))
            self.batch = int(found[2])
            self.values.append(Value("lr", self.epoch, number_of(found[1]), number, -(self.batch + 1)))
        elif found := MEASURE.fullmatch(text):  # of a step: its accuracy on the batch, or its loss
            name, step, value = ("accuracy", *found.group(1, 2)) if found[1] else ("loss", *found.group(3, 4))
            self.add(Value(f"batch_{name}", self.epoch, float(value), number, int(step)), notes)
        elif found := TRAIN.fullmatch(text):
            self.begin(int(found[1]))
            name = found[3].decode()
            metric = ("" if found[2] == b"Train" else "val_") + PLAIN.get(name, name.replace("-", "_"))
            self.add(Value(metric, self.epoch, float(found[4]), number), notes)
        elif found := SECONDS.fullmatch(text):
            self.add(Value("seconds", int(found[1]), float(found[2]), number), notes)
        elif not self.take_setting(text, number):
            if cut:
                notes.add(CUT, number)
            elif not CONTEXT.match(text):
                notes.add(UNKNOWN_LINE, number)

    def take_setting(self, text: bytes, number: int) -> bool:
        """Take in what a line says of the launch as a whole; return whether it was such a line."""
        if found := NAMESPACE.fullmatch(text):
            self.epoch = max(self.epoch, 0)  # the log has its head: it begins with epoch 0
            self.settings, self.settings_line = _arguments(found[1].decode("utf-8", "replace")), number
        elif found := STEPS.fullmatch(text):
            if not self.settings.get("lr_steps"):  # none given: the printed list is what is used
                self.settings["lr_steps"] = found[1].decode().strip("[]")
        elif found := CHANGE.fullmatch(text):
            self.changes.append((self.epoch, number_of(found[1]), number))
        elif text == ENDED:
            self.killed = True
        else:
            return False
        return True

    def run(self, path: Path, name: str) -> RunData:
        """Return the launch as a run, with means by epoch and the learning rates that are known or follow."""
        self.begin(max(self.epoch, 0))  # where no line says an epoch there is one
        self.values = [value._replace(step=self.step_of(value)) for value in self.values]
        data = super().run(path, name)
        costs = sum(value.value for value in self.values if value.metric == "seconds")
        data.facts["seconds"] = data.facts["seconds"] or costs or None
        data.facts["status"] = "killed" if self.killed else "finished"
        _add_batch_means(data)
        epochs, speeds, lines = self.means.mean("images_per_second")
        data.add("images_per_second", INFERRED, [epoch + 1 for epoch in epochs], speeds, line=lines)
        for epoch, rate, line in self.changes:
            data.add("lr", PARSED, max(epoch, 0) + 1, rate, line=line)
        self.add_inferred_rates(data)
        return data

    def step_of(self, value: Value) -> int:
        """Return the global step of a value; MISSING where only its place within an epoch of unknown length is known."""
        if value.step >= MISSING:
            return value.step
        if value.epoch == 0:
            return -value.step
        return MISSING if self.epoch_steps is None else value.epoch * self.epoch_steps - value.step

    def add_inferred_rates(self, data: RunData) -> None:
        """Add the learning rate of each epoch's last printed batch as `lr` and `lr_steps` imply it."""
        try:
            rate = float(self.settings.get("lr", ""))
            drops = [int(step) for step in str(self.settings.get("lr_steps", "")).replace(",", " ").split()]
        except (TypeError, ValueError, OverflowError):  # none, or another kind of schedule
            return
        known = sorted(self.means.last_step)
        if self.epoch_steps is None:
            known = known[:1]  # later steps are not known
        for epoch in known:
            step = epoch * (self.epoch_steps or 0) + self.means.last_step[epoch] + 1
            value = rate * 0.1 ** sum(drop <= step for drop in drops)
            data.add("lr", INFERRED, epoch + 1, value, step=step, line=self.settings_line)


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return one run a launch, and the remarks. Raises `RecordError` for a file that cannot be read."""
    return read_launches(path, path.stem, Launch)


def number_of(text: bytes) -> float:
    """Return a printed number; NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _arguments(text: str) -> dict[str, Any]:
    found = {}
    for name, value in ARGUMENT.findall(text):
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def _add_batch_means(data: RunData) -> None:
    """Add the means by epoch of what is printed of single batches, where nothing better is."""
    known = {metric: block for metric, _, _, block in data.values}
    for metric, block in known.items():
        name = metric.removeprefix("batch_")
        if name != metric and name not in known:
            epochs, position, count = np.unique(block["epoch"], return_inverse=True, return_counts=True)
            data.add(name, INFERRED, epochs, np.bincount(position, block["value"]) / count)
