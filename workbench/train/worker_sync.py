"""How a chief and its workers stop together: at the same step, or when one of them is gone.

A signal reaches one process, but a step needs all of them. So a request to stop travels with the next
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
from workbench.train.signals import CTRL_C

if TYPE_CHECKING:
    from workbench.train.signals import StopSignals
    from workbench.train.trainer import Trainer

HIDDEN = "_"  # what begins so in a step's results is for this file, not for the record


def plain(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return a step's results as numbers, without signals."""
    return {name: float(value) for name, value in logs.items() if not name.startswith(HIDDEN)}


class WorkerSync:
    """Keeps the workers of a group at the same step when one of them is asked to stop, in one attempt of a run."""

    def __init__(self, group: Group, run: str) -> None:
        self.group, self.run = group, run
        self._asked = 0.0  # what this process has asked the others for
        # The flag of the step before: reading that of this step would make the host wait for the device.
        self._before: Any = None

    def stop_now(self, trainer: Trainer, signals: StopSignals, logs: Mapping[str, Any]) -> bool:
        """Return, after a step, whether all workers stop here: somebody wants it, or the loss is not finite."""
        if self.group.workers == 1:
            return signals.stop
        asked = stop_flag.NOW if signals.stop else stop_flag.EPOCH_END if signals.finish else 0.0
        # Only upwards: a stop at once, asked after an end of the epoch, outranks it, never the other way.
        if asked > self._asked:
            self._asked = asked
            trainer.stop_request.assign(asked)
        before, self._before = self._before, logs.get("_stop")
        flags = 0 if before is None else int(float(before))
        if flags & stop_flag.FINISH and self.group.chief:  # it alone ends a run at an epoch's end
            signals.finish = signals.by_user = True
            signals.asked_by = CTRL_C
        return bool(flags & (stop_flag.STOP | stop_flag.BAD))

    @contextlib.contextmanager
    def sharing_stop(self) -> Iterator[None]:
        """Share with the others, after the block, whether the chief stops here and why."""
        try:
            yield
        except StopTraining as stop:
            self._share_stop({"status": stop.status, "reason": stop.reason, "by_user": stop.by_user})
            raise
        self._share_stop({})

    def _share_stop(self, verdict: Mapping[str, object]) -> None:
        if self.group.workers > 1:
            self._shared(json.dumps(verdict).encode())

    def wait_for_chief(self) -> None:
        """Wait for the chief's word at the end of an epoch; raises `StopTraining` where it stops."""
        verdict = json.loads(self._shared(None))
        if verdict:
            raise StopTraining(verdict["status"], f"the chief: {verdict['reason']}", verdict["by_user"])

    def _shared(self, content: bytes | None) -> bytes:
        try:
            return self.group.share(content)
        except Exception as error:
            if not self.group.lost(error):
                raise
            raise self.loss(error) from error

    def loss(self, error: BaseException) -> StopTraining:
        """Return the stop of a run that has lost a worker."""
        # Collectives report a lost peer in a page of text; the first words name the peer.
        first = " ".join(str(error).split())[:160]
        return StopTraining(
            names.STOPPED,
            f"another of the {self.group.workers} workers is gone or stopped answering ({first}); "
            f"start all of them again with --resume: run {self.run} goes on from its last checkpoint",
        )
