"""Runs of the program as a user starts it, in a process of its own, and what they left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
from forked import Child

from workbench.tracking.journal import Journal, read_journal
from workbench.train import checkpoint_file

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "workbench"


def write_project(folder: Path, spec: str, name: str = "study", **fields: Any) -> Path:
    """Make `folder` a project with one spec; `{tests}` in its text is where `specs.py` is. Returns the folder."""
    for inner in ("experiments", "mlruns"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    text = spec.format(tests=str(HERE), **fields)
    (folder / "experiments" / f"{name}.py").write_text(text)
    return folder


Process = Union["subprocess.Popen[str]", Child]


def launch(
    command: Sequence[str], folder: Path, apart: bool = False, fresh: bool = False, **environment: str
) -> Process:
    """Start a process in a project; its errors are in its output, or with `apart` by themselves.

    One of this Python shares the start of TensorFlow with others (`forked`), unless it is to be `fresh`.
    """
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    # Horovod's launcher is not a program of ours: it starts processes of its own.
    if command[0] == sys.executable and not fresh and "horovod.runner.launch" not in command:
        return Child(command[1:], folder, settings, apart)
    return subprocess.Popen(
        command,
        cwd=folder,
        env=settings,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if apart else subprocess.STDOUT,
    )


def launch_workers(commands: Sequence[Sequence[str]], folder: Path, **environment: str) -> list[Process]:
    """Start the k-th command as the k-th worker of a list of hosts."""
    return [
        launch(words, folder, WORKBENCH_WORKER=str(k), TF_CPP_MIN_LOG_LEVEL="3", **environment)
        for k, words in enumerate(commands)
    ]


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    doors = [socket.socket() for _ in range(count)]
    for door in doors:
        door.bind(("127.0.0.1", 0))
    ports = [int(door.getsockname()[1]) for door in doors]
    for door in doors:
        door.close()
    return ports


def start(
    root: Path, folder: Path, *words: str, planted: tuple[str, int] | None = None, apart: bool = False
) -> Process:
    """Start the program; `planted` is a place, and the how-manieth time, at which it kills itself."""
    program = ["-m", "workbench"]
    if planted:
        program = [str(root / "tests" / "acceptance" / "planted.py"), planted[0], str(planted[1])]
    return launch([sys.executable, *program, *words], folder, apart)


def finished(
    folder: Path, *words: str, program: Sequence[str] = ("-m", "workbench"), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in a project to its end; output and errors are kept apart."""
    process = launch([sys.executable, *program, *words], folder, apart=True, **environment)
    out, error = process.communicate(timeout=1200)
    return subprocess.CompletedProcess(words, int(process.returncode or 0), out, error)


def journal(folder: Path, run: str) -> Journal:
    return read_journal(folder / "mlruns" / "journal" / f"{run}.jsonl")


def accepted(folder: Path, run: str) -> list[Any]:
    rows = journal(folder, run).accepted()
    return [(r.epoch, r.stage, r.stage_epoch, r.step, dict(r.metrics)) for r in rows]


def arrays(folder: Path, run: str) -> dict[str, np.ndarray]:
    state = checkpoint_file.newest(folder / "mlruns" / "checkpoints" / run)
    assert state is not None
    return dict(state.arrays)
