"""Mined triplets after a kill: the resumed run trains on the triplets that were mined, not on others."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from running import accepted, arrays, start

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Do mined triplets survive a kill?"""
from workbench import (SGD, E, Experiment, Flip, MinedTriplets, PlainCNN, Safety, Softmax, Stage, SyntheticFaces,
                       Triplet)

experiment = Experiment(
    data=SyntheticFaces(identities=5, images=8, image_size=32, hold_out=0.2),
    backbone=PlainCNN(filters=(8, 8, 8)), embedding=E(size=16, dropout=0.2),
    stages=(
        Stage(loss=Softmax(), epochs=1),
        Stage(loss=Triplet(alpha=0.3), epochs=4,
              sampler=MinedTriplets(identities=5, images=4, alpha=0.5, every=2)),
    ),
    augment=Flip(), optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=9, safety=Safety(every_steps=2),
    log_model="none",
)
'''
WHOLE, KILLED = "20260101T000000Z-0000000a", "20260101T000000Z-0000000b"


def mined(folder: Path, run: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "mlruns").rglob(f"{run}*/mined-*.array")}


def test_a_kill_among_mined_epochs_changes_nothing(tmp_path: Path, root: Path) -> None:
    (tmp_path / "mine.py").write_text(SPEC)
    (tmp_path / "mlruns").mkdir()
    whole = start(root, tmp_path, "run", "mine.py", "--run-name", WHOLE)
    out, _ = whole.communicate(timeout=1200)
    assert whole.returncode == 0, out
    killed = start(
        root, tmp_path, "run", "mine.py", "--run-name", KILLED, planted=("after the row, before the state", 3)
    )
    killed.communicate(timeout=1200)
    assert killed.returncode == -signal.SIGKILL
    before = mined(tmp_path, KILLED)
    assert list(before) == ["mined-2.array"]
    again = start(root, tmp_path, "resume", KILLED)
    out, _ = again.communicate(timeout=1200)
    assert again.returncode == 0, out
    assert mined(tmp_path, KILLED)["mined-2.array"] == before["mined-2.array"]
    assert mined(tmp_path, KILLED) == mined(tmp_path, WHOLE)
    assert accepted(tmp_path, KILLED) == accepted(tmp_path, WHOLE)
    one, other = arrays(tmp_path, KILLED), arrays(tmp_path, WHOLE)
    assert one.keys() == other.keys()
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []
