"""A run's own process: started in its place, asked to stop gently when its parent dies.

Each child is in a process group of its own, so that a Ctrl-C reaches it once, through the parent. It writes
to a file, never through a pipe: a parent that dies must not take its children's output with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.errors import RunFailed, RunKilled, RunStopped
from workbench.jobs.placement import Place
from workbench.security.children import die_with_parent, reset_signals
from workbench.security.masked_output import VARIABLE

STOPPED, INTERRUPTED, FAILED = (kind.exit_status for kind in (RunStopped, RunKilled, RunFailed))


class Child:
    """One process that trains one run; `status` is its exit status once it has ended."""

    def __init__(
        self,
        words: Sequence[str],
        place: Place,
        log: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        parent = os.getpid()

        def prepare() -> None:
            os.setpgid(0, 0)
            # Before the parent is watched: its death is told by a SIGTERM, which must find no handler of the parent's.
            reset_signals()
            die_with_parent(parent)
            place.bind()

        environment = {**os.environ, **place.environment(), **(variables or {})}
        output = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            environment[VARIABLE] = "1"
            output = log.open("ab")  # behind what earlier attempts of the run have said
        try:
            self._process = subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=prepare,
            )
        finally:
            if output is not None:
                output.close()

    def poll(self) -> int | None:
        """Return the exit status as the command line counts it, or None while the process is at work."""
        found = self._process.poll()
        return None if found is None else exit_status(found)

    @property
    def killed(self) -> bool:
        """Whether a signal ended the process before it could end by itself."""
        return (self._process.poll() or 0) < 0

    def stop(self, number: int) -> None:
        """Hand a signal on, if the process is still there."""
        if self._process.poll() is None:
            self._process.send_signal(number)


def exit_status(returned: int) -> int:
    """Return the exit status that a process's end means: a signal before it listened is a stop as well."""
    if returned >= 0:
        return returned
    return {-signal.SIGTERM: STOPPED, -signal.SIGHUP: STOPPED, -signal.SIGINT: INTERRUPTED}.get(
        returned, FAILED
    )


def overall(statuses: Sequence[int], asked: Sequence[int] = (), left: bool = False) -> int:
    """Return the exit status of several runs; `left` are runs that a signal in `asked` kept from starting."""
    if left and asked:
        statuses = [*statuses, INTERRUPTED if signal.SIGINT in asked else STOPPED]
    for status in (INTERRUPTED, STOPPED, FAILED, 2):
        if status in statuses:
            return status
    return FAILED if any(statuses) else 0
