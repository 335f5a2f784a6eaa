"""How a chief and its workers stop together: at the same step, or when one of them is gone.

A signal reaches one process, but a step needs all of them. So a wish for a stop travels with the next
step's sums, and every worker finds it in that step's results at the same place; what the chief decides
at the end of an epoch is shared before the next one begins.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workbench import names
from workbench.distribute import stop_flag
from workbench.distribute.group import Group
from workbench.train.request import StopTraining

if TYPE_CHECKING:
    from workbench.train.signals import StopSignals
    from workbench.train.trainer import Trainer

HIDDEN = "_"  # what begins so in a step's results is for this file, not for the record


def plain(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return a step's results as numbers, without signals."""
    return {name: float(value) for name, value in logs.items() if not name.startswith(HIDDEN)}


class WorkerSync:
    """The signals of one attempt of a run among the workers of a group."""

    def __init__(self, group: Group, run: str) -> None:
        self.group, self.run = group, run
        self._asked = 0.0  # what this process told the others
        self._before: Any = None  # the signal of the step before: reading it waits for that step only

    def stop_now(self, trainer: Trainer, wishes: StopSignals, logs: Mapping[str, Any]) -> bool:
        """Tell, after a step, whether all workers stop here: somebody wants it, or the loss is not finite."""
        if self.group.workers == 1:
            return wishes.stop
        asked = stop_flag.NOW if wishes.stop else stop_flag.EPOCH_END if wishes.finish else 0.0
        if asked > self._asked:
            self._asked = asked
            trainer.wish.assign(asked)
        before, self._before = self._before, logs.get("_heard")
        told = 0 if before is None else int(float(before))
        if told & stop_flag.FINISH and self.group.chief:  # it alone ends a run at an epoch's end
            wishes.finish = True
        return bool(told & (stop_flag.STOP | stop_flag.BAD))

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Tell the others, after the block, whether the chief stops here and why."""
        try:
            yield
        except StopTraining as stop:
            self._tell({"status": stop.status, "reason": stop.reason})
            raise
        self._tell({})

    def _tell(self, verdict: Mapping[str, str]) -> None:
        if self.group.workers > 1:
            self._shared(json.dumps(verdict).encode())

    def obey(self) -> None:
        """Wait for the chief's word at the end of an epoch; raises `StopTraining` where it stops."""
        verdict = json.loads(self._shared(None))
        if verdict:
            raise StopTraining(verdict["status"], f"the chief: {verdict['reason']}")

    def _shared(self, content: bytes | None) -> bytes:
        try:
            return self.group.share(content)
        except Exception as error:
            if not self.group.lost(error):
                raise
            raise self.loss(error) from error

    def loss(self, error: BaseException) -> StopTraining:
        """Return the stop of a run that has lost a worker."""
        first = " ".join(str(error).split())[:160]
        return StopTraining(
            names.STOPPED,
            f"another of the {self.group.workers} workers is gone or stopped answering ({first}); "
            f"start all of them again with --resume: run {self.run} goes on from its last checkpoint",
        )
