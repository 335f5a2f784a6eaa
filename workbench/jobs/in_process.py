"""A task done in this process, with the retries that its experiment allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TextIO

from workbench.errors import RunFailed
from workbench.jobs.task import Task
from workbench.names import TAG_FORECAST
from workbench.spec.quick import QUICK_STEPS
from workbench.tracking.store import Store
from workbench.train.choose_screen import screen
from workbench.train.request import EpochCallback, RunRequest, RunResult


def train_task(
    task: Task,
    store: Store,
    stream: TextIO | None = None,
    watcher: EpochCallback | None = None,
    say: Callable[[str], None] | None = None,
) -> RunResult:
    """Train a task and return how it ended; raises what ends it before its time.

    Args:
        task: A new run, or one to go on with.
        store: Where it is recorded.
        stream: Where epochs are shown; None: standard output, or the notebook.
        watcher: Looks on at each epoch.
        say: Takes the line about a failed run that is tried again; None: it is shown among the epochs.
    """
    from workbench.train.runner import run

    tags = {TAG_FORECAST: task.forecast} if task.forecast else {}
    steps = QUICK_STEPS if task.variant.quick else None
    request = RunRequest(
        task.variant, store, task.run, resume=task.resume, steps=steps, tags=tags, from_start=task.from_start
    )
    retries = task.variant.experiment.safety.retries
    while True:
        shown = screen(stream)
        try:
            return run(request, shown, watcher)
        except RunFailed as failure:
            if not retries:
                raise
            retries -= 1
            (say or shown.say)(f"note: {failure}; trying again ({retries} more)")
            request = replace(request, resume=True, from_start=False)
