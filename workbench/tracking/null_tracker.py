"""The record of a worker that is not the chief: it keeps nothing but a log of its own beside the run.

Journal, checkpoints and views are written once, by the chief. Every worker has a log
`workers/<rank>.log` in the run's folder, with its process id, so that what happened on each machine
can be read afterwards.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from workbench.security.masking import mask
from workbench.tracking.journal import Journal
from workbench.tracking.rows import EpochRecord
from workbench.tracking.store import Store


class NullTracker:
    """Takes every call of a `Tracker`, and keeps nothing."""

    attempt = 1

    def __init__(self, store: Store, run: str) -> None:
        self.store, self.run = store, run
        self.journal = Journal(store.journal(run))

    def epoch(self, record: Any) -> None:
        """The chief records epochs."""

    def checkpoint(self, record: Any) -> None:
        """The chief records checkpoints."""

    def publish(self, epoch: int) -> None:
        """The chief shows rows."""

    def artifact(self, name: str, *, path: Any = None, text: Any = None) -> Path:
        """The chief keeps files."""
        return self.store.run_artifacts(self.run) / name

    def end(self, status: str, reason: str = "", **facts: Any) -> None:
        """The chief records the end."""

    def history(self) -> list[EpochRecord]:
        """Return no rows: the chief keeps them."""
        return []

    def close(self, timeout: float = 0.0) -> bool:
        """Nothing is open."""
        return True


class TeeStream:
    """A text stream that also writes to a worker's log, each line with its moment."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.stream, self.log = stream, path.open("a", encoding="utf-8", buffering=1)

    def write(self, text: str) -> int:
        """Write `text` to both."""
        if text.strip():
            # Each line masked and with its moment: logs of several machines are read side by side.
            self.log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}Z {mask(text.rstrip())}\n")
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)  # flush (the log is flushed line by line), isatty ...


def tee_log(screen: Any, store: Store, run: str, rank: int, workers: int) -> None:
    """Let `screen` write into the worker's log too, and begin it with who this process is."""
    log = store.run_folder(run) / "workers" / f"{rank}.log"
    screen.stream = TeeStream(screen.stream or sys.stdout, log)
    role = "the chief" if rank == 0 else "follows worker 0"
    screen.say(f"worker {rank} of {workers} ({role}): process {os.getpid()} on {socket.gethostname()}")
