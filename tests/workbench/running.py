"""Runs of the program as a user starts it, in a process of its own, and what they left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from workbench import checkpoint
from workbench.tracking.journal import Journal, read_journal


def start(
    root: Path, folder: Path, *words: str, planted: tuple[str, int] | None = None
) -> subprocess.Popen[str]:
    program = ["-m", "workbench"]
    if planted:
        program = [str(root / "tests" / "acceptance" / "planted.py"), planted[0], str(planted[1])]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, *program, *words], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def journal(folder: Path, run: str) -> Journal:
    return read_journal(folder / "mlruns" / "journal" / f"{run}.jsonl")


def accepted(folder: Path, run: str) -> list[Any]:
    rows = journal(folder, run).accepted()
    return [(r.epoch, r.stage, r.stage_epoch, r.step, dict(r.metrics)) for r in rows]


def arrays(folder: Path, run: str) -> dict[str, np.ndarray]:
    state = checkpoint.newest(folder / "mlruns" / "checkpoints" / run)
    assert state is not None
    return dict(state.arrays)
