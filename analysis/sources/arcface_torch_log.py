"""`training.log` files of arcface_torch: printed losses, speeds, evaluations every so many steps.

The printed losses (each a mean since the print before) become one mean an epoch, marked inferred;
evaluations keep their step and get the epoch in which they fell. Epochs are printed 0-based.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.frames import INFERRED, PARSED, Note, Notes, RunData
from analysis.sources import insightface_logs
from analysis.sources.insightface_logs import CUT, EVALUATION, UNKNOWN_LINE, EpochMeans, moment, read_launches
from analysis.sources.options import Options
from workbench.names import SECONDS

START_OF_SPEED = rb"^Training: .{23}-Speed (\d+\.\d+) samples/sec +Loss (\d+\.\d{4}|nan|inf) +"
END_OF_SPEED = (
    rb"Epoch: (\d{1,8}) +Global Step: (\d{1,15}) +(?:Fp16 Grad Scale: *[\d.]+ +)?Required: -?\d+ hours *$"
)
SPEED = re.compile(START_OF_SPEED + END_OF_SPEED, re.MULTILINE)
SPEED_AND_RATE = re.compile(
    START_OF_SPEED + END_OF_SPEED.replace(rb"Epoch", rb"LearningRate (\d+\.\d+) +Epoch", 1), re.MULTILINE
)
LINE = re.compile(rb"Training: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3}-(.*)", re.DOTALL)
START = re.compile(rb"rank_id: \d+|world_size: .*")
SETTING = re.compile(rb": ?(\w+) {2,}(\S.*)")
CONTEXT = re.compile(
    rb"softmax weight (?:mom )?init successfully!$|Reducer buckets have been rebuilt|\[[^\[\]]+\]\[\d+\]Accuracy-Highest: [\d.]+$"
)
STAMPED = slice(10, 29)  # where the time stands in a line: `Training: 2021-03-14 21:40:01,151-`
TOTAL = re.compile(rb"Total Step is: ?(\d{1,15})")


@dataclass
class Launch(insightface_logs.Launch):
    """What one start of the program left in the log; epochs are 0-based as printed."""

    FREQUENT, THING = b"-Speed ", "speed"

    means: EpochMeans = field(default_factory=lambda: EpochMeans(["images_per_second", "loss"]))
    rates: dict[int, tuple[float, int, int]] = field(default_factory=dict)  # epoch: rate, step, line
    # Epoch: time and line of its last speed.
    clock: dict[int, tuple[bytes, int]] = field(default_factory=dict)

    def ends_at(self, line: bytes) -> bool:
        return b"rank_id: " in line and not self.empty

    def take_frequent(self, lines: list[bytes], numbers: list[int], notes: Notes) -> None:
        """Take in consecutive speed lines: means of loss and speed, the last learning rate and time, by epoch."""
        rated = b" LearningRate " in lines[0]
        form = SPEED_AND_RATE if rated else SPEED
        found, kept = self.matched(form, lines, numbers, lambda own: own[:, -1], notes)
        if not len(found):
            return
        epochs, steps = found[:, -2].astype("int64"), found[:, -1].astype("int64")
        self.means.add(epochs, found[:, :2], kept, steps)
        self.epoch = int(epochs[-1])
        line_of = dict(zip(numbers, lines))
        self.stamp(line_of[int(kept[0])][STAMPED])
        for end in np.flatnonzero(np.append(epochs[1:] != epochs[:-1], True)):
            epoch, number = int(epochs[end]), int(kept[end])
            self.clock[epoch] = (line_of[number][STAMPED], number)
            self.stamp(line_of[number][STAMPED])
            if rated:
                self.rates[epoch] = (float(found[end, 2]), int(steps[end]), number)

    def take(self, line: bytes, number: int, cut: bool, notes: Notes) -> None:
        """Take in any other line."""
        match = LINE.fullmatch(line)
        text = match[2] if match else b""
        if match:
            self.stamp(match[1])
        if found := EVALUATION.fullmatch(text):
            self.add_evaluation(found, number, notes)
        elif found := TOTAL.fullmatch(text):
            self.settings["total_step"] = int(found[1])
        elif found := SETTING.fullmatch(text):
            self.settings[found[1].decode()] = found[2].decode("utf-8", "replace").strip()
        elif cut and line:
            notes.add(CUT, number)
        elif line and not (START.fullmatch(text) or CONTEXT.match(text)):
            notes.add(UNKNOWN_LINE, number)

    def run(self, path: Path, name: str) -> RunData:
        """Return the launch as a run, with means and durations by epoch."""
        data = super().run(path, name)
        for metric in ("loss", "images_per_second"):
            epochs, means, lines = self.means.mean(metric)
            steps = [self.means.last_step[epoch] for epoch in epochs]
            data.add(metric, INFERRED, [epoch + 1 for epoch in epochs], means, step=steps, line=lines)
        for epoch, (rate, step, line) in sorted(self.rates.items()):
            data.add("lr", PARSED, epoch + 1, rate, step=step, line=line)
        # An epoch lasts from the last speed line of the one before it to its own.
        before = moment(self.stamps[0]) if self.stamps else None
        for epoch, (stamp, line) in sorted(self.clock.items()):
            now = moment(stamp)
            if before and now and now > before:
                data.add(SECONDS, INFERRED, epoch + 1, (now - before).total_seconds(), line=line)
            before = now
        return data


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return one run a launch, and the remarks. Raises `RecordError` for a file that cannot be read."""
    return read_launches(path, path.stem.removesuffix(".training"), Launch)
