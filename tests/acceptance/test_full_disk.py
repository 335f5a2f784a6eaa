"""A file system that fills up under a training: a clear end, the last checkpoint whole, and a resume."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from workbench.tracking.journal import read_journal
from workbench.train import checkpoint_file

SPEC = '''"""Does it survive a full disk?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
experiment = tiny(stages=3 * tiny().stages[0])
'''
RUN = "20260101T000000Z-00000001"
MEGABYTES = 24


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, of a few megabytes; needs the right to mount one."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def program(root: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "workbench", *words]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=600)


def test_a_full_disk_ends_clearly_and_the_run_goes_on_after_space_is_made(
    small: Path, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "disk.py").write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    whole = tmp_path / "whole"
    store = small / "mlruns"
    done = program(root, tmp_path, "run", "experiments/disk.py", "--store", str(whole), "--run-name", RUN)
    assert done.returncode == 0, done.stderr
    store.mkdir()
    used = sum(path.stat().st_size for path in (whole / "checkpoints").rglob("*.safetensors")) // 3
    filler = small / "filler"
    filler.write_bytes(b"\0" * (MEGABYTES * 2**20 - int(2.5 * used) - 1_500_000))
    full = program(root, tmp_path, "run", "experiments/disk.py", "--store", str(store), "--run-name", RUN)
    assert full.returncode == 1, full.stdout + full.stderr
    assert "Traceback" not in full.stderr
    assert "o space left" in full.stderr
    assert checkpoint_file.newest(store / "checkpoints" / RUN) is not None
    filler.unlink()
    again = program(root, tmp_path, "resume", RUN, "--store", str(store))
    assert again.returncode == 0, again.stdout + again.stderr
    one, other = (checkpoint_file.newest(place / "checkpoints" / RUN) for place in (whole, store))
    assert one is not None and other is not None
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    rows = [
        [(r.epoch, dict(r.metrics)) for r in read_journal(place / "journal" / f"{RUN}.jsonl").accepted()]
        for place in (whole, store)
    ]
    assert rows[0] == rows[1]
