"""Which runs of a queue others grow from: a variant that is the trunk of a branch goes first, the branch waits.

Else the branch, started in the same second, would see no trunk yet and train those epochs a second time.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.jobs.task import Task
from workbench.spec.branch import kept_epochs
from workbench.tracking.store import Store
from workbench.train import checkpoint_file


class RunDependencies:
    """The trunks among some tasks: {run of a branch: {run of its trunk: the epochs whose states it wants}}."""

    def __init__(self, tasks: Sequence[Task], store: Store) -> None:
        self.store = store
        branches = [task for task in tasks if task.variant.experiment.trunk is not None]
        self.trunks = {
            branch.run: found
            for branch in branches
            if (found := {task.run: epochs for task in tasks if (epochs := _wanted(branch, task))})
        }

    def ordered(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the tasks in their order, a branch after those that it grows from."""
        waiting, found = list(tasks), list[Task]()
        while waiting:
            left = {task.run for task in waiting}
            first = next(
                (task for task in waiting if not left & self.trunks.get(task.run, {}).keys()), waiting[0]
            )
            waiting.remove(first)
            found.append(first)
        return found

    def may_start(self, task: Task, at_work: Sequence[Task]) -> bool:
        """Tell whether no run at work has yet to reach a point from which the task grows."""
        trunks = self.trunks.get(task.run, {})
        return all(
            (self.store.run_checkpoints(other.run) / checkpoint_file.kept_name(epoch)).exists()
            for other in at_work
            for epoch in trunks.get(other.run, ())
        )


def _wanted(branch: Task, other: Task) -> tuple[int, ...]:
    """Return the epochs of `other` from which `branch` grows; a run keeps them for its own file's branches."""
    if other is branch or other.variant.path != branch.variant.path:
        return ()
    return kept_epochs(other.variant.experiment, [branch.variant.experiment])
