"""What happens on a node of a Ray cluster: is it fit, and one run in a process of its own.

Ray runs these functions there; the training is a child, so that Ray's and TensorFlow's libraries never meet in
one process. The store is on a folder that all nodes share, and everything else follows from that: a stop is
asked for by a file beside the run's journal, and a run that another node began goes on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from workbench.jobs.placement import GPU_VARIABLE, THREAD_VARIABLES, Place
from workbench.jobs.process import INTERRUPTED, STOPPED, Child
from workbench.tracking.journal import wait_for_lock

POLL_SECONDS = 0.3
LOCK_SECONDS = 180  # for a run's process on a lost node to save and let go of its journal
PACKAGES = ("workbench", "tensorflow", "mlflow", "numpy")


@dataclass(frozen=True)
class RayTask:
    """One run to do on a node: the words behind the interpreter, and the files that are spoken through."""

    words: tuple[str, ...]
    folder: str  # the working directory, the same path on every node
    journal: str
    log: str
    stop: str  # holds the number of a signal when somebody wants an end
    cpus: int
    gpus: int
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RayResult:
    """How a task ended; `lost` means that nobody wanted that end, so that it is to be tried again."""

    status: int
    lost: bool = False


def versions() -> dict[str, str]:
    """Return the versions that all nodes must have alike."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def probe(
    token: str, folder: str, files: Sequence[str], wanted: Mapping[str, str], store: str | None
) -> list[str]:
    """Return what keeps this node from taking part, each in words; also into the node's own log.

    The driver holds a lock on the file `token` in the store: a node must see the file and that lock.
    """
    found = [*_folder_problems(Path(token), Path(folder), files), *_version_problems(wanted)]
    if store is not None:
        from workbench.errors import InputError
        from workbench.tracking.ping import require_reachable
        from workbench.tracking.store import find_store

        try:
            require_reachable(find_store(store, folder))
        except InputError as error:
            found.append(str(error))
    for problem in found:
        sys.stderr.write(f"error: workbench: this node cannot take part: {problem}\n")
    return found


def _folder_problems(token: Path, folder: Path, files: Sequence[str]) -> list[str]:
    if not token.exists():
        return [
            f"it does not see {token.parent}: the store must be in a folder that all nodes share, under the same path"
        ]
    if not folder.is_dir():
        return [f"it has no folder {folder}"]
    found = [f"it does not see the file {name}" for name in files if not (folder / name).is_file()]
    try:
        mark = token.with_name(f"{token.name}-{os.getpid()}")
        mark.touch()
        mark.unlink()
    except OSError as error:
        return [*found, f"it cannot write in {token.parent}: {error.strerror}"]
    with token.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return found
    return [*found, f"locks do not reach it in {token.parent}: mount that folder with locking (NFS 4 has it)"]


def _version_problems(wanted: Mapping[str, str]) -> list[str]:
    have = versions()
    return [
        f"it has {name} {have.get(name, 'not at all')}, this machine {version}"
        for name, version in wanted.items()
        if have.get(name) != version
    ]


def train(task: RayTask) -> RayResult:
    """Do one run here, or go on with it, in a process of its own; returns when that has ended."""
    log = Path(task.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"on {socket.gethostname()}, process {os.getpid()}\n")
    wait_for_lock(Path(task.journal), LOCK_SECONDS)
    asked = _stop_request(task)
    if asked:
        return RayResult(INTERRUPTED if asked == 2 else STOPPED)
    os.chdir(task.folder)  # the words name files as they were typed there
    child = Child([sys.executable, *task.words], Place(), log, _variables(task))
    handed = 0
    while True:
        try:
            status = child.poll()
            if status is not None:
                # A stop that nobody asked for here: the node is being shut down, or its memory was needed.
                return RayResult(status, lost=not handed and (status == STOPPED or child.killed))
            asked = _stop_request(task)
            if asked and asked != handed:
                handed = asked
                child.stop(asked)
            time.sleep(POLL_SECONDS)
        except BaseException:
            child.stop(15)  # Ray wants this worker's end: the run saves
            raise


def _variables(task: RayTask) -> dict[str, str]:
    """Return the environment of the run: threads as processors were asked for, GPUs as Ray dealt them."""
    found = {name: value for name, value in task.variables.items() if name not in os.environ}
    if task.gpus:
        return found
    return {**found, GPU_VARIABLE: "-1", **dict.fromkeys(THREAD_VARIABLES, str(task.cpus))}


def _stop_request(task: RayTask) -> int:
    try:
        return int(Path(task.stop).read_text() or 0)
    except (OSError, ValueError):
        return 0
