"""A trunk among the tasks of a queue goes first, and its branches wait until its state at the point is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from specs import tiny

from workbench import ArcFace, CosFace, Softmax, Stage
from workbench.jobs.dependencies import RunDependencies
from workbench.jobs.placement import Place
from workbench.jobs.scheduler import run_all
from workbench.jobs.task import Task
from workbench.spec.variant import Variant
from workbench.tracking.store import Store
from workbench.train.checkpoint_file import kept_name

WHOLE = tiny(stages=Stage(loss=Softmax(), epochs=6))
ARC = WHOLE.branch(at_epoch=2, stages=Stage(loss=ArcFace(scale=16), epochs=3), name="arc")
ON_ARC = ARC.branch(at_epoch=4, stages=Stage(loss=CosFace(scale=16), epochs=1), name="on arc")
OTHER = tiny(stages=Stage(loss=CosFace(scale=16), epochs=9))


def task(name: str, experiment, path: str = "experiments/tree.py") -> Task:
    return Task(Variant(name, experiment, study="tree", path=path), name, False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")


def keep(store: Store, run: str, epoch: int) -> None:
    path = store.run_checkpoints(run) / kept_name(epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


TASKS = [task("other", OTHER), task("on arc", ON_ARC), task("arc", ARC), task("whole", WHOLE)]


def test_a_branch_comes_after_what_it_grows_from_and_the_rest_keeps_its_order(store: Store) -> None:
    assert [found.run for found in RunDependencies(TASKS, store).ordered(TASKS)] == [
        "other",
        "whole",
        "arc",
        "on arc",
    ]
    seeds = [
        replace(TASKS[2]),
        task("whole", WHOLE.but(seed=1)),
        task("whole 2", WHOLE, "experiments/else.py"),
    ]
    assert RunDependencies(seeds, store).ordered(seeds) == seeds  # another seed, another file: no trunk of it


def test_a_branch_waits_for_the_state_that_its_trunk_will_keep(store: Store) -> None:
    other, on_arc, arc, whole = TASKS
    dependencies = RunDependencies(TASKS, store)
    assert not dependencies.may_start(arc, [whole, other])
    assert dependencies.may_start(arc, [other])  # the trunk has ended, or is not to be trained
    keep(store, "whole", 2)
    assert dependencies.may_start(arc, [whole])
    assert not dependencies.may_start(on_arc, [arc])
    keep(store, "arc", 4)
    assert dependencies.may_start(on_arc, [arc, whole])


class Step:
    """A job that keeps its states on the second look and ends on the third."""

    def __init__(self, store: Store, run: str, epochs: dict[str, int]) -> None:
        self.store, self.run, self.epochs, self.looks = store, run, epochs, 0

    def poll(self) -> int | None:
        self.looks += 1
        if self.looks == 2 and self.run in self.epochs:
            keep(self.store, self.run, self.epochs[self.run])
        return 0 if self.looks == 3 else None

    def stop(self, number: int) -> None:
        raise AssertionError("nobody asked")


class Log:
    """A board that writes down what began and ended."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def started(self, work) -> None:
        self.said.append(f"+{work.task.run}")

    def ended(self, work, status) -> None:
        self.said.append(f"-{work.task.run}")

    def update(self, working, waiting) -> None: ...

    def close(self) -> None: ...


def test_a_place_is_not_held_by_a_branch_that_waits(store: Store) -> None:
    dependencies, reporter = RunDependencies(TASKS, store), Log()
    tasks = dependencies.ordered([TASKS[2], TASKS[3], TASKS[0]])
    assert [found.run for found in tasks] == ["whole", "arc", "other"]

    def start(found: Task, place: Place) -> Step:
        return Step(store, found.run, {"whole": 2})

    assert run_all(tasks, [Place(), Place()], start, reporter, dependencies.may_start) == 0
    assert reporter.said == ["+whole", "+other", "-whole", "-other", "+arc", "-arc"]
