"""What a piece of work costs, on the clock and of the processor: the measure of `profiling` and `together`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.lazy import tf

if TYPE_CHECKING:
    from workbench.profile.xplane import Operation

REPEATS = 7  # measurements of each part, of which the quickest counts: other work only ever adds
DATA = 3  # parts of a profile that are the data's, its first ones


@dataclasses.dataclass(frozen=True)
class Cost:
    """One part of a step: least time on the clock and of the processor (all its threads), seconds."""

    part: str
    wall: float
    processor: float
    note: str = ""

    def less(self, other: Cost, part: str, note: str = "") -> Cost:
        """Return what this costs more than `other`, never below zero, as a part of its own."""
        wall, processor = self.wall - other.wall, self.processor - other.processor
        return Cost(part, max(0.0, wall), max(0.0, processor), note)


def timed(part: str, action: Callable[[], Any], repeats: int = REPEATS, per: int = 1, note: str = "") -> Cost:
    """Return what `action` costs, divided by `per`; one call before, which traces, is not counted."""
    action()
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        action()
        walls.append((time.perf_counter() - wall) / per)
        processors.append((time.process_time() - processor) / per)
    return Cost(part, min(walls), min(processors), note)


def compiled(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return `function` as a graph whose results are waited for."""
    graph = tf.function(function, autograph=False)

    def action() -> None:
        for value in tf.nest.flatten(graph()):
            value.numpy()

    return action


@dataclasses.dataclass(frozen=True)
class Profile:
    """The parts of one step of one device, what they add up to, and what the network holds in memory."""

    parts: tuple[Cost, ...]
    batch: int
    steps: int  # of an epoch
    images: int  # of an epoch
    trained: int  # numbers that are trained
    activations: int  # bytes kept between forward and backward pass
    trace: Path
    together: Cost | None = None  # a step of several devices, measured as a whole
    devices: int = 1
    operations: tuple[Operation, ...] = ()  # of the traced steps, the longest first; the chief's alone
    events: Path | None = None  # the trace as JSON, for Perfetto and chrome://tracing

    @property
    def data(self) -> tuple[Cost, ...]:
        """The parts that run beside the step, on processor cores."""
        return self.parts[:DATA]

    @property
    def step(self) -> tuple[Cost, ...]:
        """The parts that follow each other on the device."""
        return self.parts[DATA:]
