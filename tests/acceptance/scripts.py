"""The proofs that are programs of their own, run as one test each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def passes(root: Path, name: str, *words: object, timeout: float) -> str:
    """Run a script of this folder, show what it printed, and return it; its exit status must be 0."""
    command = [sys.executable, str(root / "tests" / "acceptance" / name), *map(str, words)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, timeout=timeout)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    return done.stdout
