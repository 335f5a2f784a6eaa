"""A run that kills itself with SIGKILL at a planted place: `python planted.py PHASE COUNT ARGUMENTS...`.

The places are outside of the engine's code: functions are wrapped here, and the COUNT-th time one is
reached, this process ends as if the machine had lost power. Phases are listed in `PHASES`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_left = 0


def die() -> None:
    """End this process now, without any cleaning up, when the count has come down to zero."""
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, condition: Callable[..., bool] = lambda *a, **k: True) -> None:
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if condition(*arguments, **named):
            die()
        return original(*arguments, **named)

    setattr(owner, name, wrapped)


def first_step() -> None:
    from workbench.train.session import Session

    _before(
        Session,
        "after_step",
        lambda self, logs: self.epoch + 1 == self.plan.first_epoch and self.epoch_step == 0,
    )


def last_step() -> None:
    from workbench.train.session import Session

    _before(
        Session,
        "after_step",
        lambda self, logs: (
            self.epoch + 1 == self.plan.last_epoch and self.epoch_step + 1 == self.data.steps(self.plan)
        ),
    )


def between_stages() -> None:
    from workbench.train.session import Session

    _before(
        Session,
        "begin_stage",
        lambda self, plan, state: plan.number > 1 and self.epoch + 1 == plan.first_epoch,
    )


def half_a_checkpoint() -> None:
    from workbench import files

    original = files.sync

    def wrapped(path: Any) -> None:
        if path.name.startswith(".e"):
            if _left == 1:  # checkpoints before the one that is meant stay whole
                with open(path, "r+b") as file:
                    file.truncate(path.stat().st_size // 2)
            die()
        original(path)

    files.sync = wrapped


def before_rename() -> None:
    from workbench import files

    original = files.sync

    def wrapped(path: Any) -> None:
        original(path)
        if path.name.startswith(".e"):
            die()

    files.sync = wrapped


def half_a_row() -> None:
    from workbench.tracking.journal import JournalWriter

    original = JournalWriter._write

    def wrapped(self: Any, data: bytes) -> None:
        if b'"kind":"epoch"' in data and _left == 1:
            os.write(self._descriptor, data[: len(data) // 2])
        if b'"kind":"epoch"' in data:
            die()
        original(self, data)

    JournalWriter._write = wrapped  # type: ignore[method-assign]


def evaluation() -> None:
    from workbench.train.evaluation import Scoreboard

    _before(Scoreboard, "evaluate")


def after_row() -> None:
    """Between the journal's row and the state that goes with it."""
    from workbench.train.session import Session

    _before(Session, "save")


PHASES = {
    "first step of a stage": first_step,
    "last step of a stage": last_step,
    "between stages": between_stages,
    "while writing a checkpoint": half_a_checkpoint,
    "before a checkpoint's rename": before_rename,
    "while writing the journal": half_a_row,
    "during evaluation": evaluation,
    "after the row, before the state": after_row,
}


def main(phase: str, count: int, arguments: list[str]) -> int:
    """Plant the kill and run the program."""
    global _left
    _left = count
    if phase in PHASES:
        PHASES[phase]()
    from workbench.cli import main as program

    return program(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
