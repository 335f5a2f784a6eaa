"""What a loss says of several devices is true: every loss is that of one device with the global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import workbench
from workbench.spec.interfaces import Loss
from workbench.spec.part import find

HERE = Path(__file__).resolve().parent
GATHERING = {"Triplet", "Center", "AdaFace", "AdaCos", "CurricularFace"}


def test_the_losses_with_batch_statistics_say_so() -> None:
    names = [name for name, place in workbench.PARTS.items() if place.startswith("workbench.losses")]
    parts = [find(name) for name in names]
    assert {part.__name__ for part in parts if issubclass(part, Loss) and part.batch_statistics} == GATHERING


@pytest.mark.tensorflow
def test_every_loss_on_two_devices_is_that_of_one(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "loss_pairs.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert {name.partition("(")[0] for name in found} >= GATHERING
    for name, row in found.items():
        assert row["two"][0] < 1e-5, name
        assert row["two"][1] < 1e-4, name
        if row["statistics"]:
            assert max(row["own"]) > 1e-3, f"{name}: the test cannot tell gathering from not gathering"
