"""What Keras' `fit` prints, `verbose=1` and `verbose=2`, from Keras 2 to 3: `Epoch 3/15`, then its values.

A progress bar is printed again and again, by carriage returns, backspaces or lines of its own; the last
state that has gone through all steps is the epoch's. Evaluation lines in between (`>>>> lfw evaluation max
accuracy: ...`, of Keras_insightface) belong to the epoch before them. Epochs that begin anew from 1 are
another run; ones that go back otherwise are a resumed training. Bars outside of an epoch (`evaluate`,
`predict`) are not part of a training.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analysis.frames import PARSED, Note, Notes, RunData
from analysis.sources.lines import bar_lines, set_name
from analysis.sources.options import Options
from analysis.sources.same_format_epochs import PAIR, USUAL, EpochFormat, epochs_of
from analysis.sources.values import Value, add_values, names_of, run_of
from workbench.names import THRESHOLD_SUFFIX

EPOCH = re.compile(r"(?:^|.*[^\w/-])Epoch (\d{1,8})/(\d{1,8})\s*")
BAR = re.compile(r"(\d+)/(\d{1,15}|Unknown|\?)(?: {1,2}\[[=>. -]*\]| [━╸╺─╌▁-█]+| -)")
# Of Keras 1 and 2.0 with `verbose=2`: ` - 5s - loss: ...`.
BARE = re.compile(r"\s*(?=- \d+m?s)|\s*(?=\d+s - )")
NUMBER = r"[-+]?(?:\d+\.\d{4}(?:e[-+]\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?|nan|inf)"
# Keras' own form; it ends by itself.
PRINTED = r"[-+]?\d+\.\d{4}(?:e[-+]\d\d)?(?:(?![\d.])|(?=\d{4}-\d\d-\d\d))"
TOKEN = re.compile(rf"(?:-\s+)?([A-Za-z_][\w./@()-]*(?: [\w()]+){{0,2}}?):\s+({PRINTED}|{NUMBER}(?=\s|$))\s*")
TIME = re.compile(
    r"(?:-\s+)?(?:ETA:\s+)?(?:(?:(\d+):)?(\d+):(\d\d)|(\d+(?:\.\d+)?)([mu]?s))(?:/\w+)?(?=\s|$)\s*"
)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STAMP = re.compile(r"(?<=\.\d{4})(?=(?:19|20)\d\d-\d\d-\d\d \d\d:)")  # another line begins within this one
WRAPPED = re.compile(rf"\s*(?:{NUMBER}\s*)?(?:- [\w./@ -]+:\s*(?:{NUMBER})?\s*)*")
EVALUATION = re.compile(r">>>> (\S+) evaluation max accuracy: ([\d.]+)(?:, thresh: (-?[\d.]+))?.*")
RATE = re.compile(
    r"(?:Epoch 0*(\d+): LearningRateScheduler (?:setting|reducing) learning rate to |Learning rate for iter (\d+) is )"
    rf"({NUMBER})\.?(?:,.*)?"
)
CONTEXT = re.compile(
    r"\s*$|Epoch 0*\d+: |Learning rate for |Train on \d+ samples|>>>> |Restoring model|Found \d+ |WARNING|INFO|Evaluating "
    r"|[IWEF]\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] |/\S+\.py:\d+: |\S*Warning: |  \S|Model: |_{9}|={9}"
    r"|Total params|Trainable params|Non-trainable params|Layer \(type\)|Using TensorFlow backend|Saving model|Traceback"
)
# Of an epoch that took less than a second.
STEP_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|ms|us)/(?:step|sample)")
SECONDS_OF = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
RATES = ("lr", "learning_rate")
SUPERSEDED = "a value that a later one supersedes (resumed training), not used"


@dataclass
class State:
    """One state of a progress bar that has gone through all steps: its values, its duration, its line."""

    values: dict[str, float]
    seconds: float | None
    line: int
    sure: bool  # whether it is the epoch's last state, and not one that is still to be printed over
    whole: bool  # whether all of it was understood, and nothing else stands in its line
    steps: int = 0
    usual: bool = False  # whether there is nothing but a duration and values in Keras' own form


class Ended(NamedTuple):
    """An epoch that has its values."""

    epoch: int
    line: int
    attempt: int
    values: dict[str, float]


@dataclass
class Launch:
    """The values of one run so far: those printed by themselves, and those of whole epochs."""

    rows: list[Value] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    epoch: int = 0  # the epoch announced; its values are still to come while `open`
    planned: int = 0
    open: bool = False
    state: State | None = None
    attempt: int = 1
    done: int = 0  # the last epoch that has values
    rate: tuple[float, int] | None = None  # announced by a scheduler: the rate and its line

    @property
    def empty(self) -> bool:
        return not (self.rows or self.ended)

    def close(self, notes: Notes) -> None:
        """Take the last state of the open epoch for its values."""
        if self.state is not None:
            values, line = dict(self.state.values), self.state.line
            if not self.state.whole:
                notes.add("mixed with another line: what can be read is used", line)
            if self.rate is not None and not any(name in values for name in RATES):
                self.rows.append(Value("lr", self.epoch, *self.rate, attempt=self.attempt))
            if self.state.seconds is not None:
                values.setdefault("seconds", self.state.seconds)
            self.ended.append(Ended(self.epoch, line, self.attempt, values))
            self.open, self.state, self.done = False, None, max(self.done, self.epoch)
        self.rate = None


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the runs of the output and the remarks. Raises `RecordError` for an unreadable file."""
    notes = Notes(str(path))
    launches, alike = [Launch()], EpochFormat()
    for number, text, cut in _lines(path, alike):
        if isinstance(text, str):
            _line(launches, text, number, cut, notes, alike)
        elif not _take(launches[-1], text, number, alike, notes):
            for at, line in enumerate(
                b"".join(match[0] for match in text).decode().splitlines(), start=number
            ):
                _line(launches, line, at, False, notes, alike)
    for launch in launches:
        if launch.open and launch.state is None and not launch.empty:
            notes.add(f"epoch {launch.epoch} has no values: the training was ended within it")
        launch.close(notes)
    launches = [launch for launch in launches if not launch.empty]
    names = names_of(path.stem, len(launches))
    return [_run(launch, path, name) for launch, name in zip(launches, names, strict=True)], notes.all()


def _line(
    launches: list[Launch], text: str, number: int, cut: bool, notes: Notes, alike: EpochFormat
) -> None:
    """Take in one line."""
    if found := _epoch_in(text):
        alike.announced = number
        _announce(launches, int(found[1]), int(found[2]), number, notes)
    elif cut:
        notes.add("the output is cut in the middle of this line, which is not used", number)
    elif not _values(launches[-1], text, number, notes, alike) and not CONTEXT.match(text):
        notes.add("not understood (cut, mixed with another line, or another program's)", number)


def _take(
    launch: Launch, matches: list[re.Match[bytes]], line: int, alike: EpochFormat, notes: Notes
) -> bool:
    """Take in epochs that look like the one before them; return whether they count on from it."""
    if not (launch.open and launch.state is not None and launch.epoch >= launch.done):
        return False
    rows = epochs_of(matches, alike.names, launch.epoch, launch.planned)
    if rows is None:
        return False
    launch.close(notes)
    at = line + 1
    for epoch, values in rows:
        launch.ended.append(Ended(epoch, at, launch.attempt, values))
        at += 2
    launch.epoch = launch.done = rows[-1][0]
    return True


Lines = Iterator[tuple[int, str | list[re.Match[bytes]], bool]]


def _lines(path: Path, alike: EpochFormat) -> Lines:
    """Yield the lines that matter, as last printed; a line of values that was wrapped is put together again."""
    waiting: tuple[int, str, bool] | None = None
    for number, line, cut in bar_lines(path, alike):
        if isinstance(line, list):
            if waiting is not None:
                yield waiting
                waiting = None
            yield number, line, cut
            continue
        text = ESCAPES.sub("", line.decode("utf-8", "replace")).rstrip()
        if waiting is not None:
            joined = _put_together(waiting[1], text)
            if joined is not None:
                waiting = (waiting[0], joined, cut)
                continue
            yield waiting
            waiting = None
        if BAR.search(text) or BARE.match(text):
            waiting = (number, text, cut)
        else:
            yield number, text, cut
    if waiting is not None:
        yield waiting


def _epoch_in(text: str) -> re.Match[str] | None:
    """Return the match of an announced epoch; the word is looked for first, which is much quicker on long lines."""
    return EPOCH.fullmatch(text) if "Epoch " in text else None


def _put_together(line: str, text: str) -> str | None:
    """Return a line of values with the next one, which a narrow console has wrapped; None where it is another."""
    if not text or _epoch_in(text) or BAR.search(text):
        return None
    if WRAPPED.fullmatch(text):
        return f"{line} {text.strip()}"
    bar = BAR.search(line)
    tail = line[bar.end() :] if bar is not None else line
    if ":" not in text or _state(tail, 0, 0).whole:
        return None
    return line + text if _state(tail + text, 0, 0).whole else None  # wrapped within a word


def _announce(launches: list[Launch], epoch: int, planned: int, line: int, notes: Notes) -> None:
    launch = launches[-1]
    if launch.open and launch.state is None:
        notes.add("an epoch begins while the one before has no values", line)
    launch.close(notes)
    if planned and epoch > planned:
        notes.add("an epoch beyond the planned: not used", line)
        launch.open = False
        return
    if epoch == 1 and not launch.empty:
        notes.add("epochs begin anew: another run", line)
        launch = Launch()
        launches.append(launch)
    elif not launch.empty and epoch <= launch.done:
        launch.attempt += 1
        for row in launch.rows:
            if row.epoch >= epoch:
                notes.add(SUPERSEDED, row.line)
        for own in launch.ended:
            for _ in own.values if own.epoch >= epoch else ():
                notes.add(SUPERSEDED, own.line)
        launch.rows = [row for row in launch.rows if row.epoch < epoch]
        launch.ended = [own for own in launch.ended if own.epoch < epoch]
        launch.done = epoch - 1
    launch.epoch, launch.planned, launch.open, launch.state = epoch, planned, True, None


def _values(launch: Launch, text: str, line: int, notes: Notes, alike: EpochFormat) -> bool:
    """Take in a line of values, an evaluation or a learning rate; return whether it was one."""
    if text.startswith(">>>>") and (found := EVALUATION.fullmatch(text)):
        name = set_name(found[1])
        value = Value(name, launch.epoch, float(found[2]), line, attempt=launch.attempt)
        launch.rows.append(value)
        if found[3]:
            launch.rows.append(value._replace(metric=name + THRESHOLD_SUFFIX, value=float(found[3])))
        return True
    if text.startswith(("Epoch", "Learning")) and (found := RATE.fullmatch(text)):
        launch.rate = (float(found[3]), line)
        return True
    bar = BAR.search(text)
    if bar is None and BARE.match(text) is None:
        return False
    if bar is not None and bar[2].isdigit() and not bar[1].endswith(bar[2]):
        return True  # a state on the way
    steps = int(bar[2]) if bar is not None and bar[2].isdigit() else 0
    state = _state(text[bar.end() if bar else 0 :], line, steps)
    if state.usual:
        alike.learn(text[: bar.end() if bar else 0], tuple(state.values), line)
    if not state.values or (not state.whole and (bar is None or bar[0].endswith("-"))):
        return state.whole
    if not launch.open:
        # `evaluate` and `predict` print bars of their own; without any epoch before them there is none to see
        notes.add("values without an epoch before them, not used", line)
        return True
    known = launch.state
    same = known is not None and known.steps == state.steps
    if known is None or (same and (not known.sure or state.values.keys() > known.values.keys())):
        launch.state = state  # a bar behind the epoch's last state is of `evaluate` or `predict`
    return True


def _state(tail: str, line: int, steps: int) -> State:
    """Return the state behind a bar of `steps` steps."""
    if quick := _usual(tail, line, steps):
        return quick
    stamp = STAMP.search(tail)
    text = tail[: stamp.start()] if stamp else tail
    values: dict[str, float] = {}
    seconds: float | None = None
    position = len(text) - len(text.lstrip())
    while position < len(text):
        if match := TIME.match(text, position):
            if not values and seconds is None:
                seconds = _seconds(match)
        elif match := TOKEN.match(text, position):
            values[match[1]] = float(match[2])
        else:
            break
        position = match.end()
    sure = "ETA" not in tail and seconds != 0.0  # Keras 3 prints the time that is left until then
    if seconds == 0.0 and (rate := STEP_TIME.search(text)) and steps:
        seconds = steps * float(rate[1]) * SECONDS_OF[rate[2]]
    whole = position >= len(text) and stamp is None
    return State(values, seconds if "ETA" not in tail else None, line, sure, whole, steps)


def _usual(tail: str, line: int, steps: int) -> State | None:
    """Return the state of a line that has nothing but a duration and values in Keras' own form: nearly all lines of
    long output, so they are taken apart in two matches."""
    found = USUAL.fullmatch(tail)
    if found is None or found[1] == "0":
        return None
    values = {name: float(value) for name, value in PAIR.findall(found[2])}
    return State(values, float(found[1]), line, True, True, steps, True)


def _seconds(match: re.Match[str]) -> float:
    if match[4] is not None:
        return float(match[4]) * SECONDS_OF[match[5]]
    return (float(match[1] or 0) * 60 + float(match[2])) * 60 + float(match[3])


def _run(launch: Launch, path: Path, name: str) -> RunData:
    first = min([row.epoch for row in launch.rows] + [own.epoch for own in launch.ended])
    data = run_of(path, name, max(first, 1))
    ended = [own for own in launch.ended if own.epoch >= 1]
    at = np.array([own[:3] for own in ended], dtype="int64").reshape(-1, 3)
    for metric in dict.fromkeys(itertools.chain.from_iterable(own.values for own in ended)):
        values = [own.values.get(metric) for own in ended]
        there = np.array([value is not None for value in values])
        epochs, lines, attempts = at[there].T
        known = [value for value in values if value is not None]
        data.add(metric, PARSED, epochs, known, line=lines, attempt=attempts)
    add_values(data, (row for row in launch.rows if row.epoch >= 1))
    spans = [own.values["seconds"] for own in ended if "seconds" in own.values]
    data.facts["seconds"] = sum(spans) if spans else None
    return data
