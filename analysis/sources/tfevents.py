"""TensorBoard event files, scalars of version 1 and 2, read without TensorFlow.

A file is a sequence of records: length (8 bytes), its masked CRC-32C, the message, its masked CRC-32C.
A record whose checksum does not fit ends the reading, and says so. The `line` of a value is the number
of its record. `epoch_loss` in `train/` is `loss`, in `validation/` it is `val_loss`; Keras counts those
epochs from 0. Values by batch keep their step and get the epoch in which they fell, by their clock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import MEASURED, Note, Notes, RunData
from workbench.errors import RecordError

SUBFOLDERS = {"train": "", "validation": "val_"}
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DT_FLOAT, DOUBLE, INT32, INT64, HALF
MASK_DELTA = 0xA282EAD8
LARGEST_CHECKED = 1 << 20  # a graph of many megabytes holds no scalars; its checksum is passed over

Scalar = tuple[str, int, float, float, int]  # tag, step, value, wall time (seconds), number of the record
Values = dict[tuple[str, str], list[Scalar]]  # by metric and file


def read(path: Path) -> tuple[list[RunData], list[Note]]:
    """Return a run for each folder of event files at or below `path`, `train/` and `validation/` as one.

    Raises `RecordError` when there is no event file or one cannot be read.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*tfevents*") if p.is_file())
    if not files:
        raise RecordError("no event files", where=path)
    groups: dict[Path, list[Path]] = {}
    for file in files:
        folder = file.parent.parent if file.parent.name in SUBFOLDERS else file.parent
        groups.setdefault(folder, []).append(file)
    runs, remarks = [], []
    for folder, members in groups.items():
        run, notes = _run(folder, members)
        runs += [run] if run.values else []
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
                yield value.tag, int(event.step), found, float(event.wall_time), number


def _records(path: Path, notes: Notes) -> Iterator[bytes]:
    number = 0
    try:
        with path.open("rb") as file:
            while head := file.read(12):
                number += 1
                length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
                if len(head) < 12 or struct.unpack("<I", head[8:])[0] != masked_crc(head[:8]):
                    notes.add("a record's length is cut or damaged: nothing after it is read", number)
                    return
                body = file.read(length + 4)
                if len(body) < length + 4:
                    notes.add("the file is cut in the middle of a record", number)
                    return
                if length <= LARGEST_CHECKED and struct.unpack("<I", body[-4:])[0] != masked_crc(body[:-4]):
                    notes.add("a record is damaged (its checksum does not fit), not used", number)
                    continue
                yield body[:-4]
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=path) from error


def _scalar(value: Any) -> float | None:
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    tensor = value.tensor
    if value.WhichOneof("value") != "tensor" or tensor.dtype not in DTYPES or tensor.tensor_shape.dim:
        return None
    if tensor.tensor_content:
        return float(np.frombuffer(tensor.tensor_content, DTYPES[tensor.dtype])[0])
    for name in ("float_val", "double_val", "int_val", "int64_val"):
        if len(getattr(tensor, name)):
            return float(getattr(tensor, name)[0])
    return None


def _run(folder: Path, files: list[Path]) -> tuple[RunData, list[Note]]:
    """Make the run of one folder out of its event files."""
    values: Values = {}
    remarks: list[Note] = []
    for file in files:
        notes = Notes(str(file))
        prefix = SUBFOLDERS.get(file.parent.name, "")
        for scalar in scalars(file, notes):
            metric = prefix + scalar[0].removeprefix("epoch_")
            values.setdefault((metric, str(file)), []).append(scalar)
        remarks += notes.all()
    facts = {"name": folder.name, "origin": str(folder), "status": "finished"}
    data = RunData(run=folder.name or str(folder), file=str(folder), facts=facts)
    times = [scalar[3] for rows in values.values() for scalar in rows]
    if times:
        import pandas as pd

        facts["started"] = pd.Timestamp(min(times), unit="s", tz="UTC")
        facts["seconds"] = max(times) - min(times)
    _add(data, values)
    return data, remarks


def _add(data: RunData, values: Values) -> None:
    by_epoch = [s for rows in values.values() for s in rows if s[0].startswith("epoch_")]
    shift = 1 if by_epoch or any(s[1] == 0 for rows in values.values() for s in rows) else 0
    ends = np.array(sorted({s[1]: s[3] for s in reversed(by_epoch)}.items())).reshape(-1, 2)
    for (metric, file), rows in values.items():
        steps = np.array([scalar[1] for scalar in rows])
        columns = {"line": np.array([scalar[4] for scalar in rows])}
        if rows[0][0].startswith("epoch_") or not by_epoch:
            epochs = steps + shift
        else:  # by batch: the epoch whose end is the next on the clock
            clock = np.array([scalar[3] for scalar in rows])
            position = np.minimum(np.searchsorted(ends[:, 1], clock), len(ends) - 1)
            epochs, columns["step"] = ends[position, 0].astype("int64") + shift, steps
        data.add(metric, MEASURED, epochs, [scalar[2] for scalar in rows], file=file, **columns)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of `data`, rotated and shifted as
    the record format asks, so that a checksum of data holding checksums stays sound."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF
