"""What a run will cost, roughly: seconds where the store knows better, else images times multiply-adds.

Only the order matters here: longest first keeps the devices busy until the end. `workbench check` estimates
a run by a measured step.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import InputError
from workbench.jobs.task import Task
from workbench.models.backbones.registry import TABLE
from workbench.models.backbones.sizes import AT_112
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Backbone, Source
from workbench.spec.part import from_json
from workbench.tracking.rows import StartRecord
from workbench.tracking.runs import RunState

UNKNOWN_IMAGES = 100_000
UNKNOWN_WORK = 250e6  # multiply-adds of one image
TIMED_RUNS = 30  # the newest runs from which seconds for an amount of work are learned


class Costs:
    """Estimated seconds of tasks, from the runs that a store holds."""

    def __init__(self, states: Sequence[RunState]) -> None:
        self._epochs: dict[str, int] = {}  # accepted epochs of every run
        self._seconds: dict[str, float] = {}  # seconds of an epoch, by id
        self._rates: list[float] = []  # seconds for a unit of work
        for state in reversed(states):
            if state.start is not None:
                self._learn(state, state.start)

    def _learn(self, state: RunState, start: StartRecord) -> None:
        rows = state.journal.accepted()
        self._epochs[state.run] = len(rows)
        if not rows:
            return
        each = statistics.median(row.seconds for row in rows)
        self._seconds.setdefault(start.id, each)  # the newest counts: they come first
        if len(self._rates) < TIMED_RUNS and (work := _recorded_work(start.spec)):
            self._rates.append(each * sum(int(stage["epochs"]) for stage in start.stages) / work)

    def known(self, task: Task) -> float | None:
        """Return the seconds that are left of a task whose settings were run before; None of others."""
        each = self._seconds.get(task.variant.experiment.id)
        return None if each is None else each * task.variant.experiment.epochs * self._left(task)

    def estimate(self, task: Task) -> float:
        """Return the seconds that a task will take; without any record they are in a unit of their own."""
        known = self.known(task)
        if known is not None:
            return known
        rate = statistics.median(self._rates) if self._rates else 1e-9
        return work(task.variant.experiment) * rate * self._left(task)

    def _left(self, task: Task) -> float:
        return 1 - self._epochs.get(task.run, 0) / task.variant.experiment.epochs if task.resume else 1.0


def longest_first(tasks: Sequence[Task], costs: Costs) -> list[Task]:
    """Return the tasks in descending order of cost; equal ones stay in the order of the files."""
    return sorted(tasks, key=lambda task: -costs.estimate(task))


def work(experiment: Experiment) -> float:
    """Return the multiply-adds of a whole training: images of all epochs times those of one image."""
    one = multiply_adds(experiment.backbone)
    return sum(plan.epochs * images(plan.data) * one for plan in experiment.plans())


def images(source: Source) -> float:
    """Return the images of an epoch as far as the source states them."""
    stated = getattr(source, "images", None)
    if not isinstance(stated, int):
        return UNKNOWN_IMAGES
    return stated * getattr(source, "identities", 1) if source.images_are_per_identity else stated


def multiply_adds(backbone: Backbone) -> float:
    """Return the multiply-adds of one image, scaled from the measured size of the nearest named backbone."""
    known = [
        (
            sum(getattr(backbone, key, None) == value for key, value in settings.items()),
            float(AT_112[name][1]),
        )
        for name, (place, settings) in TABLE.items()
        if name in AT_112 and place.endswith(f":{type(backbone).__name__}")
    ]
    _, found = max(known, key=lambda one: one[0], default=(0, UNKNOWN_WORK))
    width = getattr(backbone, "width", 1.0)
    return found * (backbone.image_size / 112) ** 2 * (width**2 if isinstance(width, float) else 1.0)


def _recorded_work(spec: Mapping[str, Any]) -> float | None:
    """Return the work of a recorded spec; None where it has parts of its own that are not at hand."""
    try:
        made = from_json(dict(spec))
    except InputError:
        return None
    return work(made) if isinstance(made, Experiment) else None
