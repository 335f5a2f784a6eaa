"""More than fifty SIGKILLs, at planted places and at random moments: every resume ends with equal bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KILLS, SEED = 54, 3


def test_every_resume_after_a_kill_is_bit_equal(root: Path) -> None:
    script = root / "tests" / "acceptance" / "kills.py"
    words = [sys.executable, str(script), "--kills", str(KILLS), "--seed", str(SEED)]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, timeout=3500)
    print(done.stdout)
    assert done.returncode == 0
    assert "0 differ []" in done.stdout
