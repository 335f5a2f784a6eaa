"""Twelve SIGKILLs at seeded random moments of sweeps by four searches: every trial once, values equal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sweep_kills import NAMES

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(1800)]

SEED = 1


@pytest.mark.parametrize("kind", NAMES)
def test_a_killed_sweep_ends_with_every_trial_once(root: Path, kind: str) -> None:
    script = root / "tests" / "acceptance" / "sweep_kills.py"
    words = [sys.executable, str(script), "--kills", "3", "--seed", str(SEED), "--only", kind]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, timeout=1700)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
