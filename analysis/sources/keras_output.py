"""What `fit(verbose=2)` prints: `Epoch 3/15`, then a line of values an epoch.

Evaluation lines in between (`>>>> lfw evaluation max accuracy: ...`) belong to the epoch before them.
Epochs that begin anew from 1 are another run; ones that go back otherwise are a resumed training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from analysis.frames import PARSED, Note, Notes, RunData
from analysis.sources.lines import blocks

EPOCH = re.compile(r"Epoch (\d+)/(\d+)")
VALUES = re.compile(
    r"(?:(\d+)/\d+|\d+/Unknown) - (\d+)(m?s)((?: - \w[\w.-]*: (?:-?[\d.]+(?:e[+-]\d+)?|nan|-?inf))+)(.*)"
)
VALUE = re.compile(r" - (\w[\w.-]*): (-?[\d.]+(?:e[+-]\d+)?|nan|-?inf)")
RATES = re.compile(r"(?: - \d+m?s/(?:epoch|step|sample))*")
EVALUATION = re.compile(r">>>> (\w+) evaluation max accuracy: ([\d.]+)(?:, thresh: (-?[\d.]+))?.*")
CONTEXT = re.compile(
    r"\s*$|Epoch \d+: |Epoch 0*\d+: |Learning rate for |Train on \d+ samples|>>>> |Restoring model"
)


@dataclass
class Launch:
    """The values of one run so far: (metric, epoch, value, line, attempt)."""

    rows: list[tuple[str, int, float, int, int]] = field(default_factory=list)
    epoch: int = 0  # the epoch announced; its values are still to come while `open`
    open: bool = False
    attempt: int = 1

    @property
    def done(self) -> int:
        return max((row[1] for row in self.rows), default=0)


def read(path: Path) -> tuple[list[RunData], list[Note]]:
    """Return the runs of the output and the remarks. Raises `RecordError` for an unreadable file."""
    notes = Notes(str(path))
    launches = [Launch()]
    for first, lines, cut in blocks(path):
        for number, line in enumerate(lines, first):
            text = line.decode("utf-8", "replace").rstrip()
            if cut:
                notes.add("the output is cut in the middle of this line, which is not used", number)
            elif found := EPOCH.fullmatch(text):
                _announce(launches, int(found[1]), number, notes)
            elif not _values(launches[-1], text, number, notes) and not CONTEXT.match(text):
                notes.add("not understood (cut, mixed with another line, or another program's)", number)
    launches = [launch for launch in launches if launch.rows]
    names = [path.stem] if len(launches) == 1 else [f"{path.stem}#{n}" for n in range(1, len(launches) + 1)]
    return [_run(launch, path, name) for launch, name in zip(launches, names, strict=True)], notes.all()


def _announce(launches: list[Launch], epoch: int, line: int, notes: Notes) -> None:
    launch = launches[-1]
    if launch.open:
        notes.add("an epoch begins while the one before has no values", line)
    if epoch == 1 and launch.rows:
        notes.add("epochs begin anew: another run", line)
        launch = Launch()
        launches.append(launch)
    elif launch.rows and epoch <= launch.done:
        launch.attempt += 1
        for row in launch.rows:
            if row[1] >= epoch:
                notes.add("a value that a later one supersedes (resumed training), not used", row[3])
        launch.rows = [row for row in launch.rows if row[1] < epoch]
    launch.epoch, launch.open = epoch, True


def _values(launch: Launch, text: str, line: int, notes: Notes) -> bool:
    """Take in a line of values or an evaluation; return whether it was one."""
    if found := EVALUATION.fullmatch(text):
        launch.rows.append((found[1], launch.epoch, float(found[2]), line, launch.attempt))
        if found[3]:
            launch.rows.append((f"{found[1]}_thresh", launch.epoch, float(found[3]), line, launch.attempt))
        return True
    found = VALUES.fullmatch(text)
    if not found or not RATES.fullmatch(found[5]):
        return False
    if not launch.open:
        notes.add("values without an epoch before them, not used", line)
        return True
    seconds = float(found[2]) / (1000 if found[3] == "ms" else 1)
    pairs = [*VALUE.findall(found[4]), ("seconds", seconds)]
    launch.rows += [(metric, launch.epoch, float(value), line, launch.attempt) for metric, value in pairs]
    launch.open = False
    return True


def _run(launch: Launch, path: Path, name: str) -> RunData:
    first = min(row[1] for row in launch.rows)
    facts = {"name": name, "origin": str(path), "status": "finished"}
    data = RunData(run=name, file=str(path), facts=facts, first_epoch=first)
    for metric in dict.fromkeys(row[0] for row in launch.rows):
        rows = [row for row in launch.rows if row[0] == metric]
        _, epochs, values, lines, attempts = zip(*rows, strict=True)
        data.add(metric, PARSED, epochs, values, line=lines, attempt=attempts)
    return data
