"""SIGKILLs of `run --jobs 2`: all of it, the process that started the others, a worker; resumed, all is equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import passes

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(3600)]

KILLS, SEED = 6, 1


def test_runs_side_by_side_end_as_if_never_killed(root: Path) -> None:
    passes(root, "jobs_kills.py", "--kills", KILLS, "--seed", SEED, timeout=3500)
