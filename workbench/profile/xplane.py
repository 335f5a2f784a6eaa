"""What TensorFlow's profiler wrote: the largest operations, and the trace in the Trace Event Format.

TensorBoard's Profile tab shows the same trace; its page begins only after it has loaded a script from
www.gstatic.com, so it stays blank where there is no network.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.lazy import inside_tensorflow

# `name:Type`, as TensorFlow calls its own; those that oneDNN does have a prefix, which tells nothing here
OPERATION = re.compile(r"^(?!.*::)[^:]+:(?:_MklNative|_Mkl)?(?P<kind>\w+)$")

STEP = "train"  # what a traced step is called


@dataclasses.dataclass(frozen=True)
class Operation:
    """One type of operation in a step: how often it ran and how long in all threads, seconds."""

    kind: str
    times: float
    seconds: float


def newest(folder: Path) -> Path | None:
    """Return the newest trace below `folder`, None where there is none."""
    found = sorted(folder.glob("plugins/profile/*/*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def read(path: Path) -> Any:
    """Return the trace in `path` as TensorFlow's XSpace message."""
    space = inside_tensorflow("tsl.profiler.protobuf.xplane_pb2").XSpace()
    space.ParseFromString(path.read_bytes())
    return space


def operations(space: Any, steps: int) -> list[Operation]:
    """Return the types of operations of a trace of `steps` steps, the longest first.

    Time is an operation's own, without those that it calls; what threads do at once adds up. Kernels of a
    GPU count in the place of the operations that start them.
    """
    devices = [plane for plane in space.planes if plane.name.startswith("/device:") and plane.lines]
    found: dict[str, tuple[int, int]] = {}
    for plane in devices or space.planes:
        for line in plane.lines:
            for kind, picoseconds in _own_times(plane, line):
                times, spent = found.get(kind, (0, 0))
                found[kind] = (times + 1, spent + picoseconds)
    result = [Operation(kind, times / steps, spent / steps / 1e12) for kind, (times, spent) in found.items()]
    return sorted(result, key=lambda one: -one.seconds)


def kind_of(name: str, plane: Any) -> str | None:
    """Return the type of the operation called `name`; a kernel's is its name; None for what is neither."""
    match = OPERATION.match(name)
    if match is not None:
        return match["kind"]
    return name if plane.name.startswith("/device:") else None


def _own_times(plane: Any, line: Any) -> Iterator[tuple[str, int]]:
    """Yield type and own time (ps) of each operation of a thread."""
    open_: list[list[Any]] = []  # of those that are not over: type, end, own time
    for event in sorted(line.events, key=lambda one: (one.offset_ps, -one.duration_ps)):
        kind = kind_of(plane.event_metadata[event.metadata_id].name, plane)
        if kind is None:
            continue
        while open_ and open_[-1][1] <= event.offset_ps:
            over, _, own = open_.pop()
            yield over, own
        if open_:
            open_[-1][2] -= event.duration_ps
        open_.append([kind, event.offset_ps + event.duration_ps, event.duration_ps])
    yield from ((over, own) for over, _, own in open_)


def write_events(space: Any, path: Path) -> Path:
    """Write a trace in the Trace Event Format (JSON, gzip), times in microseconds; returns `path`."""
    content = {"traceEvents": list(_events(space)), "displayTimeUnit": "ms"}
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=5) as file:
        json.dump(content, file)
    return path


def _events(space: Any) -> Iterator[dict[str, Any]]:
    starts = [line.timestamp_ns for plane in space.planes for line in plane.lines]
    first = min(starts, default=0)
    for number, plane in enumerate(space.planes, start=1):
        if plane.lines:
            yield {"ph": "M", "pid": number, "name": "process_name", "args": {"name": plane.name}}
        for thread, line in enumerate(plane.lines, start=1):
            name = {"name": line.display_name or line.name}
            yield {"ph": "M", "pid": number, "tid": thread, "name": "thread_name", "args": name}
            begin = (line.timestamp_ns - first) / 1e3
            for event in line.events:
                yield {
                    "ph": "X",
                    "pid": number,
                    "tid": thread,
                    "name": plane.event_metadata[event.metadata_id].name,
                    "ts": begin + event.offset_ps / 1e6,
                    "dur": event.duration_ps / 1e6,
                }
