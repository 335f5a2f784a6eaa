"""TensorBoard event files, scalars of version 1 and 2, read without TensorFlow.

A file is a sequence of records: length (8 bytes), its masked CRC-32C, the message, its masked CRC-32C.
A record whose checksum does not fit ends the reading, and says so. The `line` of a value is the number
of its record. `epoch_loss` in `train/` is `loss`, in `validation/` it is `val_loss`; Keras counts those
epochs from 0. Values by batch keep their step and get the epoch in which they fell, by their clock. Where
a scalar `epoch` is in the files (Lightning), it says the epoch of a step; without it steps that count one by
one are epochs, and others are inferred. Files of several launches in one folder are told apart by their steps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frames import INFERRED, MEASURED, Note, Notes, RunData
from analysis.sources.epoch_table import EPOCH
from analysis.sources.lines import reading
from analysis.sources.options import Options
from analysis.sources.step_epochs import epochs_at
from analysis.sources.values import names_of, run_of
from workbench.errors import RecordError

SUBFOLDERS = {"train": "", "validation": "val_"}
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DT_FLOAT, DOUBLE, INT32, INT64, HALF
LARGEST_CHECKED = 1 << 20  # a graph of many megabytes holds no scalars; its checksum is passed over

KERAS_EPOCH = "epoch_"  # Keras' tags by epoch, counted from 0


class Scalar(NamedTuple):
    """One scalar of a file as it stands there."""

    tag: str
    step: int
    value: float
    wall: float  # time, in seconds since 1970
    number: int  # of its record


class Row(NamedTuple):
    """One scalar of a run: its metric, the scalar itself, the file it stands in and its attempt."""

    metric: str
    scalar: Scalar
    file: str
    attempt: int = 1


@dataclass
class Launch:
    """One training: the rows that hold, in the order of their times, and its number of attempts."""

    rows: list[Row] = field(default_factory=list)
    attempt: int = 1


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the runs of the event files at or below `path`, `train/` and `validation/` as one.

    A folder is a run; where its files hold several launches, each that begins anew from the first step is
    a run, and one that goes on from the middle is another attempt, which supersedes what it repeats.
    Raises `RecordError` when there is no event file or one cannot be read.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*tfevents*") if p.is_file())
    if not files:
        raise RecordError("no event files", where=path, expected="files called *tfevents*")
    groups: dict[Path, list[Path]] = {}
    for file in files:
        folder = file.parent.parent if file.parent.name in SUBFOLDERS else file.parent
        groups.setdefault(folder, []).append(file)
    runs, remarks = [], []
    for folder, members in groups.items():
        own, notes = _runs(folder, members, (options or Options()).epochs_from)
        runs += own
        remarks += notes
    return runs, remarks


def scalars(path: Path, notes: Notes) -> Iterator[Scalar]:
    """Yield the scalars of one event file in their order."""
    from tensorboard.compat.proto import event_pb2

    for number, message in enumerate(_records(path, notes), start=1):
        event = event_pb2.Event.FromString(message)
        for value in event.summary.value:
            found = _scalar(value)
            if found is not None:
                yield Scalar(value.tag, int(event.step), found, float(event.wall_time), number)


def _records(path: Path, notes: Notes) -> Iterator[bytes]:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    def fits(content: bytes, checksum: bytes) -> bool:
        return struct.unpack("<I", checksum)[0] == masked_crc32c(content)

    number = 0
    with reading(path) as file:
        while head := file.read(12):
            number += 1
            if len(head) < 12 or not fits(head[:8], head[8:]):
                notes.add("a record's length is cut or damaged: nothing after it is read", number)
                return
            length = struct.unpack("<Q", head[:8])[0]
            body = file.read(length + 4)
            if len(body) < length + 4:
                notes.add("the file is cut in the middle of a record", number)
                return
            if length <= LARGEST_CHECKED and not fits(body[:-4], body[-4:]):
                notes.add("a record is damaged (its checksum does not fit), not used", number)
                continue
            yield body[:-4]


def _scalar(value: Any) -> float | None:
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    tensor = value.tensor
    if value.WhichOneof("value") != "tensor" or tensor.dtype not in DTYPES or tensor.tensor_shape.dim:
        return None
    if tensor.tensor_content:
        return float(np.frombuffer(tensor.tensor_content, DTYPES[tensor.dtype])[0])
    found = [*tensor.float_val, *tensor.double_val, *tensor.int_val, *tensor.int64_val]
    return float(found[0]) if found else None


def _runs(folder: Path, files: list[Path], epochs_from: int | None) -> tuple[list[RunData], list[Note]]:
    """Make the runs of one folder out of its event files."""
    remarks: list[Note] = []
    segments: list[list[Row]] = []
    for file in files:
        notes = Notes(str(file))
        prefix = SUBFOLDERS.get(file.parent.name, "")
        segments += _segments(file, prefix, notes)
        remarks += notes.all()
    notes = Notes(str(folder))
    launches = _launches(sorted(segments, key=lambda rows: rows[0].scalar.wall), notes)
    if len(launches) > 1:
        notes.add(f"{len(launches)} launches in one folder: each is a run")
    name = folder.name or str(folder)
    names = names_of(name, len(launches))
    runs = [_run(folder, own, one, notes, epochs_from) for own, one in zip(names, launches, strict=True)]
    return [run for run in runs if run.values], remarks + notes.all()


def _segments(file: Path, prefix: str, notes: Notes) -> list[list[Row]]:
    """Return the rows of a file in parts: where the steps of a tag go back, a writer has begun again."""
    parts: list[list[Row]] = []
    last: dict[str, int] = {}
    for scalar in scalars(file, notes):
        if not parts or scalar.step < last.get(scalar.tag, scalar.step):
            parts.append([])
            last = {}
        last[scalar.tag] = scalar.step
        parts[-1].append(Row(prefix + scalar.tag.removeprefix(KERAS_EPOCH), scalar, str(file)))
    return parts


def _launches(segments: list[list[Row]], notes: Notes) -> list[Launch]:
    """Put the parts of all files, in the order of their times, together to trainings."""
    launches: list[Launch] = []
    for rows in segments:
        launch = launches[-1] if launches else None
        if launch is None or _begins_anew(launch, rows):
            launches.append(Launch(rows=list(rows)))
            continue
        cut = _superseded_from(launch, rows)
        if cut is not None:
            kept = [row for row in launch.rows if row.scalar.wall < cut]
            if len(kept) < len(launch.rows):
                count = len(launch.rows) - len(kept)
                notes.add(
                    f"{count} values of an attempt that a later one supersedes (resumed training), not used"
                )
            launch.rows, launch.attempt = kept, launch.attempt + 1
        launch.rows += [row._replace(attempt=launch.attempt) for row in rows]
    return launches


def _firsts(rows: list[Row]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.metric] = min(found.get(row.metric, row.scalar.step), row.scalar.step)
    return found


def _begins_anew(launch: Launch, rows: list[Row]) -> bool:
    """Tell whether rows are another training: a tag of both begins at the launch's first step again."""
    ours, theirs = _firsts(launch.rows), _firsts(rows)
    common = ours.keys() & theirs.keys()
    several = {name for name in common if sum(row.metric == name for row in launch.rows) > 1}
    return bool(several) and all(theirs[name] <= ours[name] for name in several)


def _superseded_from(launch: Launch, rows: list[Row]) -> float | None:
    """Return the time from which on what the launch holds is superseded; None for a writer beside it."""
    theirs = _firsts(rows)
    common = [row for row in launch.rows if row.metric in theirs]
    if not common:
        return None
    after = rows[0].scalar.wall
    repeated = [
        row.scalar.wall for row in common if row.scalar.step >= theirs[row.metric] and row.scalar.wall < after
    ]
    return min(repeated, default=after)


def _run(folder: Path, name: str, launch: Launch, notes: Notes, epochs_from: int | None) -> RunData:
    data = run_of(folder, name)
    times = [row.scalar.wall for row in launch.rows]
    if times:
        data.facts["started"] = pd.Timestamp(min(times), unit="s", tz="UTC")
        data.facts["seconds"] = max(times) - min(times)
    _add(data, launch, notes, epochs_from)
    return data


def _add(data: RunData, launch: Launch, notes: Notes, epochs_from: int | None) -> None:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in launch.rows:
        groups.setdefault((row.metric, row.file), []).append(row)
    by_epoch = [row for row in launch.rows if row.scalar.tag.startswith(KERAS_EPOCH)]
    marks = [row for row in launch.rows if EPOCH.fullmatch(row.scalar.tag)]
    place = _keras_epochs(by_epoch) if by_epoch else _epochs(launch, marks, notes, epochs_from)
    for (metric, file), rows in groups.items():
        if EPOCH.fullmatch(rows[0].scalar.tag):
            continue
        steps = np.array([row.scalar.step for row in rows])
        clock = np.array([row.scalar.wall for row in rows])
        columns = {
            "line": np.array([row.scalar.number for row in rows]),
            "attempt": np.array([row.attempt for row in rows]),
        }
        if by_epoch and rows[0].scalar.tag.startswith(KERAS_EPOCH):
            epochs, kind = steps + 1, MEASURED
        else:
            epochs, kind = place(steps, clock)
            if by_epoch or marks or kind == INFERRED:
                columns["step"] = steps
        data.add(metric, kind, epochs, [row.scalar.value for row in rows], file=file, **columns)


Place = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, str]]


def _keras_epochs(by_epoch: list[Row]) -> Place:
    """Values by batch fall into the epoch whose end is the next on the clock."""
    ends = np.array(sorted({row.scalar.step: row.scalar.wall for row in reversed(by_epoch)}.items())).reshape(
        -1, 2
    )

    def place(steps: np.ndarray, clock: np.ndarray) -> tuple[np.ndarray, str]:
        position = np.minimum(np.searchsorted(ends[:, 1], clock), len(ends) - 1)
        return ends[position, 0].astype("int64") + 1, MEASURED

    return place


def _epochs(launch: Launch, marks: list[Row], notes: Notes, epochs_from: int | None) -> Place:
    """Say how steps become epochs: by the scalar `epoch` in the files, else as steps that are epochs, else by order."""
    known = np.unique([row.scalar.step for row in launch.rows])
    steps_of: dict[str, list[int]] = {}
    for row in launch.rows:
        if not EPOCH.fullmatch(row.scalar.tag):
            steps_of.setdefault(row.metric, []).append(row.scalar.step)
    said = [(np.array([row.scalar.step for row in marks]), np.array([row.scalar.value for row in marks]))]
    epochs, kind = epochs_at(known, steps_of, said if marks else (), notes, epochs_from)

    def place(steps: np.ndarray, clock: np.ndarray) -> tuple[np.ndarray, str]:
        return epochs[np.minimum(np.searchsorted(known, steps), len(known) - 1)], kind

    return place
