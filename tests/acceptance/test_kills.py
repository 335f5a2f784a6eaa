"""More than fifty SIGKILLs, at planted places and at random moments: every resume ends with equal bits."""

from __future__ import annotations

from pathlib import Path

from scripts import passes

KILLS, SEED = 54, 3


def test_every_resume_after_a_kill_is_bit_equal(root: Path) -> None:
    printed = passes(root, "kills.py", "--kills", KILLS, "--seed", SEED, timeout=3500)
    assert "0 differ []" in printed
