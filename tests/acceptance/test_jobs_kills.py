"""SIGKILLs of `run --jobs 2`: all of it, the process that started the others, a worker; resumed, all is equal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(3600)]

KILLS, SEED = 6, 1


def test_runs_side_by_side_end_as_if_never_killed(root: Path) -> None:
    script = root / "tests" / "acceptance" / "jobs_kills.py"
    words = [sys.executable, str(script), "--kills", str(KILLS), "--seed", str(SEED)]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, timeout=3500)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
