"""Twelve SIGKILLs at seeded random moments of sweeps by four searches: every trial once, values equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import passes
from sweep_kills import NAMES

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(1800)]

SEED = 1


@pytest.mark.parametrize("kind", NAMES)
def test_a_killed_sweep_ends_with_every_trial_once(root: Path, kind: str) -> None:
    passes(root, "sweep_kills.py", "--kills", 3, "--seed", SEED, "--only", kind, timeout=1700)
