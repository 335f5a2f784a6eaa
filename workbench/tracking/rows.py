"""The four kinds of row a journal holds, and their form in JSON.

A row is a frozen value; `to_json` and `from_json` are exact inverses of each other. JSON has no word
for non-finite numbers, so they are the texts "nan", "inf" and "-inf" there, and numbers again here.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from workbench.errors import RecordError
from workbench.names import STATUSES
from workbench.tracking import row_types

Parameter = str | int | float | bool
RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


def new_run_name(now: float | None = None) -> str:
    """Return a run's name: UTC time stamp and 8 random hex digits, `20260131T235959Z-0a1b2c3d`."""
    stamp = datetime.fromtimestamp(time.time() if now is None else now, timezone.utc)
    return f"{stamp:%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}"


@dataclass(frozen=True, kw_only=True)
class StartRecord:
    """An attempt begins: all that views need to be made from the journal alone.

    `from_epoch` is the first epoch (1-based, global) that this attempt trains: 1 for a new run, the
    epoch after the checkpoint for a resumed one. `parameters` are flat, as they appear in MLflow; a
    setting that is off is absent. `trunk` is `{"run", "epoch", "stage", "step"}` of a branch: where its
    history before its own first epoch stands. `domains` are the values a setting may take where they are known:
    `{"min": a, "max": b}` or `{"values": [...]}`. `files` are the names of the texts kept beside the
    journal (`<run>.d/artifacts/`). `time` is in seconds since 1970, UTC.
    """

    run: str
    attempt: int = 1
    from_epoch: int = 1
    time: float = field(default_factory=time.time)
    id: str = ""
    study: str = "default"
    name: str = ""
    seed: int = 0
    quick: bool = False
    parent: str | None = None
    trunk: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Mapping[str, Any], ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    process: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = {"run": self.run, "parent": self.parent, "trunk": self.trunk, "files": self.files}
        # Only what paths are made of: the rest is checked where rows are read, and a writer's own values are
        # right.
        row_types.require("start", names)
        _check(self.attempt >= 1, "attempt", self.attempt, "1 or more")
        _check(self.from_epoch >= 1, "from_epoch", self.from_epoch, "1 or more")

    @property
    def title(self) -> str:
        """What a person calls the run: `study/name:seed`."""
        return f"{self.study}/{self.name}:{self.seed}"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One finished epoch. `epoch` is 1-based and global, `stage_epoch` 1-based within the stage.

    `step` counts optimizer steps since the start of the run, `seconds` is the epoch's duration (NaN where an
    imported record does not know it) and `time` the moment of the record. `metrics` hold values as measured; one not measured is absent.
    `system` is what the epoch took of its machine (processor, memory, disk, GPU), by MLflow's names. `stop` is why a rule
    or a watcher ends the training after this epoch; rows of other epochs have no such field.
    """

    attempt: int = 1
    stage: int
    stage_epoch: int
    epoch: int
    step: int
    metrics: Mapping[str, float]
    seconds: float
    system: Mapping[str, float] = field(default_factory=dict)
    stop: str = ""
    time: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if self.attempt >= 1 and self.stage >= 1 and self.stage_epoch >= 1 and self.epoch >= 1:
            return  # journals of a hundred thousand rows are read: the usual case is quick
        for name in ("attempt", "stage", "stage_epoch", "epoch"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """The state after `epoch` is durable in `file` (relative to the checkpoint folder)."""

    epoch: int
    file: str
    digest: str
    step: int = 0
    attempt: int = 1
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class EndRecord:
    """The attempt ended. Rows up to `final_epoch` are shown in views even without a checkpoint.

    A finished run shows all its rows; any other is shown up to its last checkpoint, because a
    resume repeats what came after it, unless `final_epoch` says that no resume can.
    """

    status: str
    reason: str = ""
    final_epoch: int | None = None
    attempt: int = 1
    time: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        _check(self.status in STATUSES, "status", self.status, "one of " + ", ".join(STATUSES))


Record = StartRecord | EpochRecord | CheckpointRecord | EndRecord
KINDS: dict[str, type[Any]] = {
    "start": StartRecord,
    "epoch": EpochRecord,
    "checkpoint": CheckpointRecord,
    "end": EndRecord,
}
_KIND_OF = {kind: name for name, kind in KINDS.items()}
_FIELDS = {name: [part.name for part in dataclasses.fields(kind)] for name, kind in KINDS.items()}
_TUPLES = ("stages", "files")


def to_json(record: Record) -> dict[str, Any]:
    """Return `record` as an object that `json.dumps(..., allow_nan=False)` accepts."""
    row: dict[str, Any] = {"kind": _KIND_OF[type(record)]}
    for name in _FIELDS[row["kind"]]:
        # Every field, defaults too: a default that changes later must not change what old records say.
        row[name] = plain(getattr(record, name))
    if not row.get("stop", True):
        del row["stop"]
    return row


def from_json(row: Mapping[str, Any]) -> Record:
    """Return the record that `row` holds; fields of a later version are passed over.

    Raises RecordError when the kind is unknown or a field is missing or impossible.
    """
    kind = row.get("kind") if isinstance(row, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecordError(f"unknown kind of row {kind!r}", expected="one of " + ", ".join(KINDS))
    known = _FIELDS[kind]
    # A record of a later version opens in an older one, without what it does not know.
    values = {name: value for name, value in row.items() if name in known}
    # Before the class is made: its checks compare numbers, and would fail on a text with a TypeError.
    row_types.require(kind, values)
    try:
        if kind == "epoch":
            values["metrics"] = {name: float(value) for name, value in row["metrics"].items()}
            values["seconds"] = float(row["seconds"])
        elif kind == "start":
            values.update({name: tuple(values[name]) for name in _TUPLES if name in values})
        # The class checks once more, and other errors than its own become one line: no row of a file may end
        # a reader.
        record: Record = KINDS[kind](**values)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise RecordError(f"a {kind} row does not fit: {error}") from error
    return record


def plain(value: Any) -> Any:
    """Return `value` made of what JSON knows; non-finite numbers become "nan", "inf" or "-inf"."""
    if value is None or isinstance(value, (str, bool)):
        return value
    # `int(value)` turns subclasses such as enums into what JSON writes as a number.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    # Tuples become lists, as JSON has no other: `from_json` turns those of `_TUPLES` back.
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    # By what it can, not by its class: neither library is imported to write a row.
    if hasattr(value, "item"):  # a NumPy or TensorFlow scalar
        return plain(value.item())
    return str(value)


def _check(right: bool, name: str, value: object, expected: str) -> None:
    if not right:
        raise RecordError(f"{name}={value!r}", where="record", expected=expected)
