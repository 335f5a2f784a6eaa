"""How every benchmark here measures: two things side by side, again and again, as a ratio.

A single time says more about the machine's other work than about the code. So both sides run in
pairs, the side that goes first alternates, and the figure is the median of the pairs' ratios with
the smallest and the largest beside it. A benchmark is a file `bench_<topic>.py` beside this one:

    from paired import Row, compare, main

    def rows() -> list[Row]:
        ratio = compare(ours, theirs, repeats=7)
        return [Row("reading 1,000 runs / bare SELECT", ratio, at_most=2.0)]

    if __name__ == "__main__":
        main(rows)

Run alone it prints its table; `python tests/benchmarks` (that is `make bench`) prints all of them.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

Action = Callable[[], Any]
Measure = Callable[[], float]


class Ratio(NamedTuple):
    """A measured figure: the median of its repeats, the smallest and the largest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table: a figure and the target it is held against.

    `figure` is usually the `Ratio` of `compare`, of a time to a time, and then `unit` is "x"; a bare
    number is a figure without a spread. Give at most one of the two targets; a row with neither
    is shown for information. `note` says what a reader needs to know (sizes, machine, limits).
    `details` are what was measured itself; rows with the same columns share a second table.
    """

    name: str
    figure: Ratio | float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "x"
    note: str = ""
    details: Mapping[str, str] = field(default_factory=dict)  # its line in a table of its own, by column

    @property
    def value(self) -> float:
        """The figure's median, which the target is compared with."""
        return self.figure[0] if isinstance(self.figure, Sequence) else self.figure

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; `None` where there is no target."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least


def compare(a: Action, b: Action, repeats: int = 7, number: int = 1, warmup: int = 1) -> Ratio:
    """Return how many times as long `a` takes as `b`: the median, least and greatest pair.

    Each of the `repeats` pairs times `number` calls of both. `warmup` calls of each come first and
    are not counted. "At least 20 times faster than b" is `compare(b, a)` with `at_least=20`.
    """
    for _ in range(warmup):
        a()
        b()
    return compare_measured(lambda: seconds(a, number), lambda: seconds(b, number), repeats)


def compare_measured(a: Measure, b: Measure, repeats: int = 7) -> Ratio:
    """Like `compare`, for sides that measure themselves: each call returns its own figure (seconds,
    images per second, bytes ...), and the ratio is a / b of the pair."""
    ratios = []
    for pair in range(repeats):
        if pair % 2 == 0:
            first = a()
            ratios.append(first / b())
        else:
            second = b()
            ratios.append(a() / second)
    return spread(ratios)


def seconds(action: Action, number: int = 1) -> float:
    """Return how long `number` calls of `action` take, in seconds, garbage collected beforehand."""
    gc.collect()
    start = time.perf_counter()
    for _ in range(number):
        action()
    return time.perf_counter() - start


def spread(values: Sequence[float]) -> Ratio:
    """Return the median, least and greatest of `values`."""
    return Ratio(statistics.median(values), min(values), max(values))


def process(*command: str, **environment: str) -> Action:
    """Return an action that runs `command` as a process of its own, its output swallowed.

    "python" as the first word stands for the running interpreter. A failing command raises
    `RuntimeError` with the end of its error output: a crash must not pass for speed.
    """
    import os

    words = [sys.executable, *command[1:]] if command[0] == "python" else list(command)

    def action() -> None:
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment})
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")

    return action


def table(rows: Sequence[Row]) -> str:
    """Return `rows` as a Markdown table: name, figure, spread, target, whether it is met, note."""
    lines = [
        "| what | figure | least to greatest | target | met | note |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(_line, rows), *_details(rows)])


def _details(rows: Sequence[Row]) -> list[str]:
    """Return the tables of the rows' details, one for each set of columns."""
    lines: list[str] = []
    for columns in dict.fromkeys(tuple(row.details) for row in rows if row.details):
        lines += ["", f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
        values = [row.details.values() for row in rows if tuple(row.details) == columns]
        lines += [f"| {' | '.join(line)} |" for line in values]
    return lines


def _line(row: Row) -> str:
    unit = row.unit if row.unit in ("", "x") else f" {row.unit}"
    figure = f"{row.value:.3g}{unit}"
    low_high = "" if not isinstance(row.figure, Sequence) else f"{row.figure[1]:.3g} to {row.figure[2]:.3g}"
    target = ""
    if row.at_most is not None:
        target = f"at most {row.at_most:g}{unit}"
    elif row.at_least is not None:
        target = f"at least {row.at_least:g}{unit}"
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return f"| {row.name} | {figure} | {low_high} | {target} | {met} | {row.note} |"


def main(rows: Callable[[], list[Row]]) -> None:
    """Print the table of one benchmark; with `--json`, its rows as one JSON list on the last line."""
    measured = rows()
    if "--json" in sys.argv[1:]:
        print(json.dumps([asdict(row) for row in measured]))
    else:
        print(table(measured))
