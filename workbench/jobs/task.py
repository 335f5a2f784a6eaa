"""What is to be done: a variant, the name of its run, and the words of the process that does it.

With `--resume` a task takes up the unfinished run of its settings and seed. Each run is taken by one task
only, and settings that are finished or at work already are left alone, so nothing is trained twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workbench import names
from workbench.distribute.roles import is_worker
from workbench.spec.variant import Variant
from workbench.tracking.rows import new_run_name
from workbench.tracking.runs import RunState, is_resumable, read_states
from workbench.tracking.store import Store


def program(*words: str) -> list[str]:
    """Return the command of another process of this program, with the Python of this one."""
    return [sys.executable, "-m", "workbench", *words]


@dataclass(frozen=True)
class Task:
    """One training to do: a variant and the name of its run, new or to be resumed."""

    variant: Variant
    run: str
    resume: bool
    forecast: str | None = None
    from_start: bool = False

    @property
    def title(self) -> str:
        """What a person calls it: study, variant and seed."""
        return f"{self.variant.study}/{self.variant.name} seed {self.variant.experiment.seed}"

    def words(self, store: str | None, *, as_json: bool = False, debug: bool = False) -> list[str]:
        """Return the command of a process that does this task; it goes on where the run has a journal."""
        variant = self.variant
        seed = str(variant.experiment.seed)
        found = program("run", variant.path, variant.name, "--run-name", self.run, "--seed", seed)
        changes = variant.overrides.values()
        found += [f"--set={how.removeprefix('--set ')}" for how in changes if how.startswith("--set")]
        found += ["--quick"] * variant.quick + ["--json"] * as_json + ["--debug"] * debug
        found += ["--store", store] if store else []
        return found + (["--forecast", self.forecast] if self.forecast else [])


@dataclass
class Claims:
    """The runs of a store that tasks may take up, by settings and seed, each taken once."""

    unfinished: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    settled: dict[tuple[str, int], RunState] = field(default_factory=dict)

    @classmethod
    def of(cls, states: Sequence[RunState]) -> Claims:
        """Read off `states` (oldest first) what can be resumed, and what is finished or at work."""
        claims = cls()
        for state in states:
            start = state.start
            if start is None or start.parent is not None:
                continue
            key = (start.id, start.seed)
            if is_resumable(state):
                claims.unfinished.setdefault(key, []).append(state.run)
            elif state.status in (names.FINISHED, names.RUNNING):
                claims.settled[key] = state
        return claims

    def take(self, variant: Variant) -> Task | RunState:
        """Return what `--resume` does with a variant: a task, or the run that leaves nothing to do."""
        key = (variant.experiment.id, variant.experiment.seed)
        if self.unfinished.get(key):
            return Task(variant, self.unfinished[key].pop(), True)  # the newest
        return self.settled.get(key) or Task(variant, new_run_name(), False)


def planned(
    variants: Sequence[Variant], store: Store, resume: bool, say: Callable[[str], object]
) -> list[Task]:
    """Return the tasks of `variants`; equal settings and seed in one study are trained once."""
    claims = Claims.of(read_states(store)) if resume else Claims()
    tasks: dict[tuple[str, str, int], Task] = {}
    for variant in variants:
        key = (variant.study, variant.experiment.id, variant.experiment.seed)
        if key in tasks:
            say(f"note: {variant.study}/{variant.name} is {tasks[key].title} again: it is trained once")
            continue
        lead = not is_worker(variant.experiment.devices)  # a worker does what its chief was asked to do
        found = claims.take(variant) if lead else Task(variant, new_run_name(), False)
        if isinstance(found, Task):
            tasks[key] = found
        else:
            say(
                f"note: {variant.study}/{variant.name} seed {key[2]} is {found.status} as {found.run}: left alone"
            )
    return list(tasks.values())
