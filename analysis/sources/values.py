"""What a reader makes of its findings: the run of a file, and values that were found one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from analysis.frames import MISSING, PARSED, RunData


class Value(NamedTuple):
    """One printed value; `line` is 1-based, `step` is MISSING where none is printed with it.

    Readers take up to 8 digits for an epoch and up to 15 for a step: a line with more is damaged, and what they fill, columns
    of 32 and 64 bits, would not hold them.
    """

    metric: str
    epoch: int
    value: float
    line: int
    step: int = MISSING
    attempt: int = 1


def run_of(path: Path, name: str, first_epoch: int = 1) -> RunData:
    """Return a run without values yet, read from `path`: a file does not say that its training ended otherwise."""
    facts = {"name": name, "origin": str(path), "status": "finished"}
    return RunData(run=name, file=str(path), facts=facts, first_epoch=first_epoch)


def names_of(name: str, count: int) -> list[str]:
    """Return what `count` runs of one file are called: by its name, and of several by their number in it."""
    return [name] if count == 1 else [f"{name}#{number}" for number in range(1, count + 1)]


def add_values(data: RunData, found: Iterable[Value]) -> None:
    """Add values to a run, a block a metric in the order in which they were first found."""
    by_metric: dict[str, list[Value]] = {}
    for value in found:
        by_metric.setdefault(value.metric, []).append(value)
    for metric, own in by_metric.items():
        _, epochs, values, lines, steps, attempts = zip(*own, strict=True)
        data.add(metric, PARSED, epochs, values, line=lines, step=steps, attempt=attempts)
