"""The queue: as many runs at once as there are places, until all are done or somebody asks for an end.

A failed run ends nothing but itself. Ctrl-C, SIGTERM and SIGHUP are handed on to what is at work (which finishes
its epoch, or saves at once); nothing is begun after them.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

from workbench.jobs.placement import Place
from workbench.jobs.process import overall
from workbench.jobs.task import Task
from workbench.train.signals import announced, handling, on_end

PAUSE_SECONDS = 0.1


class Job(Protocol):
    """A run at work, in a process here or elsewhere."""

    def poll(self) -> int | None:
        """Return its exit status, None while it is at work."""

    def stop(self, number: int) -> None:
        """Hand a signal on."""


class ProgressReporter:
    """What a person sees of the queue; this one says nothing, for runs one after another that show themselves."""

    def started(self, work: Work) -> None:
        """A run began."""

    def ended(self, work: Work, status: int) -> None:
        """A run ended with an exit status."""

    def update(self, working: Sequence[Work], waiting: int) -> None:
        """Time passed; called ten times a second, so it must cost nothing mostly."""

    def close(self) -> None:
        """Nothing is at work any more."""


@dataclass
class Work:
    """A task that was begun: its number from 1, its place, its process and when it began (monotonic)."""

    number: int
    task: Task
    place: Place
    job: Job
    began: float = field(default_factory=time.monotonic)


Start = Callable[[Task, Place], Job]
MayStart = Callable[[Task, Sequence[Task]], bool]  # a waiting task, those at work


def run_all(
    tasks: Sequence[Task],
    places: Sequence[Place],
    start: Start,
    reporter: ProgressReporter,
    may_start: MayStart = lambda task, at_work: True,
) -> int:
    """Do the tasks in their order, one at a place at a time; return the exit status of all together.

    A task that may not start yet lets those behind it go first; with nothing at work, the first begins.
    """
    waiting, free, statuses = list(tasks), list(places), list[int]()
    working: list[Work] = []
    with listening() as asked:
        handed = 0
        while working or (waiting and not asked):
            while free and not asked and (task := _next(waiting, working, may_start)):
                waiting.remove(task)
                place = free.pop(0)
                working.append(Work(len(tasks) - len(waiting), task, place, start(task, place)))
                reporter.started(working[-1])
            # Each signal once to each run: a second Ctrl-C asks for more than the first.
            for number in asked[handed:]:
                handed += 1
                for work in working:
                    work.job.stop(number)
            for work in list(working):
                status = work.job.poll()
                if status is not None:
                    working.remove(work)
                    free.append(work.place)
                    statuses.append(status)
                    reporter.ended(work, status)
            reporter.update(working, len(waiting))
            if working:
                time.sleep(PAUSE_SECONDS)
    reporter.close()
    return overall(statuses, asked, left=bool(waiting))


def _next(waiting: Sequence[Task], working: Sequence[Work], may_start: MayStart) -> Task | None:
    at_work = [work.task for work in working]
    if not at_work:
        return waiting[0] if waiting else None
    return next((task for task in waiting if may_start(task, at_work)), None)


@contextlib.contextmanager
def listening() -> Iterator[list[int]]:
    """Give the list of the signals that came, until the block ends."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(signal.SIGTERM if number == signal.SIGHUP else number)  # what every child listens to

    with handling({signal.SIGINT: note, **on_end(note)}), announced(_say):
        yield asked


def _say(text: str) -> None:
    """Say what a Ctrl-C does to the runs at work, each of which hears it too."""
    sys.stderr.write(f"every run {text}\n")
    sys.stderr.flush()
