"""Damaged records of a real run: cut anywhere, flipped anywhere, never a wrong value and never a crash.

The states are those of real trainings: a small one that is cut at every byte, a larger one that is cut
at all borders of its parts and of pages. The journal is cut at every byte as well.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.tracking.journal import read_journal
from workbench.train import checkpoint_file

SPEC = '''"""Does damage show?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
from workbench import MLP, F
small = tiny(backbone=MLP(image_size=8, units=(16, 16)), embedding=F(size=8))
experiments = [small.but(name="small"), tiny(name="large")]
'''
FLIPS = 1000
PAGE = 4096


def trained(folder: Path, root: Path, name: str, run: str) -> Path:
    """Train a variant of the spec and return the folder of its states."""
    (folder / "experiments").mkdir(exist_ok=True)
    (folder / "mlruns").mkdir(exist_ok=True)
    (folder / "experiments" / "damage.py").write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    words = ["run", "experiments/damage.py", name, "--run-name", run]
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    return folder / "mlruns" / "checkpoints" / run


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("damage")
    small = trained(folder, root, "small", "20260101T000000Z-00000001")
    large = trained(folder, root, "large", "20260101T000000Z-00000002")
    return checkpoint_file.generations(small)[0], checkpoint_file.generations(large)[0]


def refused(path: Path) -> bool:
    try:
        checkpoint_file.read(path)
    except RecordError:
        return True
    return False


def copy(path: Path, folder: Path) -> Path:
    target = folder / path.name
    target.write_bytes(path.read_bytes())
    return target


def test_a_small_state_cut_at_every_byte(states: tuple[Path, Path], tmp_path: Path) -> None:
    damaged = copy(states[0], tmp_path)
    size = damaged.stat().st_size
    assert size < 200_000
    for length in range(size - 1, -1, -1):
        os.truncate(damaged, length)
        assert refused(damaged), f"cut to {length} of {size} bytes it was believed"
    print(f"\na state of {size:,} bytes cut at every byte: all refused")


def borders(path: Path) -> list[int]:
    """Return every length at which a part of a safetensors file begins or ends, and every page."""
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    parts = json.loads(whole[8 : 8 + header])
    ends = {
        8 + header + place
        for name, part in parts.items()
        if name != "__metadata__"
        for place in part["data_offsets"]
    }
    found = {0, 1, 7, 8, 9, 8 + header - 1, 8 + header, *ends, *range(0, len(whole), PAGE)}
    around = {place + step for place in found for step in (-1, 0, 1)}
    return sorted((place for place in around if 0 <= place < len(whole)), reverse=True)


def test_a_larger_state_cut_at_all_borders(states: tuple[Path, Path], tmp_path: Path) -> None:
    damaged = copy(states[1], tmp_path)
    assert damaged.stat().st_size > 200_000
    cuts = borders(damaged)
    for length in cuts:
        os.truncate(damaged, length)
        assert refused(damaged), f"cut to {length} bytes it was believed"
    print(f"\na state of {states[1].stat().st_size:,} bytes cut at {len(cuts)} places: all refused")


@pytest.mark.parametrize("which", [0, 1], ids=["small", "large"])
def test_random_bytes_flipped(states: tuple[Path, Path], tmp_path: Path, which: int) -> None:
    path, rng = states[which], random.Random(which)
    expected, whole, believed = checkpoint_file.read(path), path.read_bytes(), 0
    damaged = tmp_path / path.name
    for _ in range(FLIPS):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        damaged.write_bytes(data)
        try:
            found = checkpoint_file.read(damaged)
        except RecordError:
            continue
        believed += 1
        assert found.facts == expected.facts
        assert found.arrays.keys() == expected.arrays.keys()
        assert all(np.array_equal(found.arrays[name], expected.arrays[name]) for name in expected.arrays)
    print(f"\n{FLIPS} flipped bytes: {FLIPS - believed} refused, {believed} read with equal values")


def test_the_journal_cut_at_every_byte(states: tuple[Path, Path], tmp_path: Path) -> None:
    run = states[1].parent.name
    whole = (states[1].parents[2] / "journal" / f"{run}.jsonl").read_bytes()
    rows = read_journal(states[1].parents[2] / "journal" / f"{run}.jsonl").rows
    damaged = tmp_path / f"{run}.jsonl"
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    damaged.write_bytes(whole)
    for length in range(len(whole), -1, -1):
        os.truncate(damaged, length)
        complete = sum(end <= length for end in ends)
        found = read_journal(damaged).rows
        # a line is complete without its line feed too: nothing of it is missing
        assert found[:complete] == rows[:complete]
        assert len(found) in (complete, complete + (length + 1 in ends))
    print(
        f"\na journal of {len(whole):,} bytes, {len(rows)} rows, cut at every byte: all complete rows came back"
    )
