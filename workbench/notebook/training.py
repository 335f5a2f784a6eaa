"""A run from Python in a process of its own, its lines and its progress shown here as they come."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from workbench.errors import InputError, RunFailed, RunKilled, RunStopped
from workbench.jobs.placement import Place
from workbench.jobs.process import INTERRUPTED, STOPPED, Child
from workbench.jobs.progress import log_of
from workbench.tracking.provenance import engine_folder
from workbench.tracking.store import Store
from workbench.train import notebook_screen
from workbench.train.choose_screen import screen
from workbench.train.progress import Screen

POLL_SECONDS = 0.2  # between two looks at a run in a process of its own
BAD_INPUT = 2


def train_in_child(words: list[str], run: str, store: Store) -> None:
    """Run a command of the program in a process of its own, its lines shown here as they come.

    An interrupt of this process ends the run after its epoch, a second one after its step, a third at once;
    `run.resume()` goes on.
    """
    log, progress = log_of(store, run), store.run_folder(run) / "progress.json"
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, (str(engine_folder().parent), os.environ.get("PYTHONPATH"))))
    variables = {notebook_screen.VARIABLE: str(progress), "PYTHONPATH": path}
    start = log.stat().st_size if log.exists() else 0  # of a resumed run: earlier attempts were shown then
    child = Child(words, Place(), log, variables)
    follower = LogFollower(log, progress, start, screen())
    while True:
        try:
            while child.poll() is None:
                follower.update()
                time.sleep(POLL_SECONDS)
            break
        except KeyboardInterrupt:
            child.stop(signal.SIGINT)  # which says itself what the first, the second and the third one do
    follower.update()
    follower.screen.close()
    progress.unlink(missing_ok=True)
    _raise(child.poll() or 0, follower.last)


def _raise(status: int, last: str) -> None:
    """Raise what the exit status of a run's process means."""
    words = last.removeprefix("error: ")
    if status == INTERRUPTED:
        raise RunKilled(words)
    if status == STOPPED:
        raise RunStopped(words)
    if status == BAD_INPUT:
        raise InputError(words)
    if status:
        raise RunFailed(words)


class LogFollower:
    """Shows what a process writes into its log and its file of progress."""

    def __init__(self, log: Path, progress: Path, start: int, on: Screen) -> None:
        self.log, self.progress, self.screen = log, progress, on
        self.last = ""
        self._at = start
        self._seen: dict[str, Any] | None = None

    def update(self) -> None:
        """Show what is new."""
        if self.log.exists():
            with self.log.open("rb") as file:
                file.seek(self._at)
                # What is written of a line so far is left for the next look.
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._at += len(whole) + 1
                for line in whole.decode("utf-8", "replace").splitlines():
                    self.last = line if line.strip() else self.last
                    self.screen.say(line)
        found = notebook_screen.read_progress(self.progress)
        if (
            found is not None
            and found != self._seen
            and isinstance(self.screen, notebook_screen.NotebookScreen)
        ):
            self._seen = found
            self.screen.at(**found)
