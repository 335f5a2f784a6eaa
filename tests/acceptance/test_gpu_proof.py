"""The script of `make gpu` in its small form on the CPU: so it is known to work before it meets a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_proof import SMALL, prove, table

pytestmark = pytest.mark.tensorflow
PROOFS = [
    "TensorFlow",
    "quickstart",
    "float32",
    "float16",
    "bfloat16",
    "the same seed again",
    "killed within an epoch, resumed",
    "XLA",
    "deterministic=False",
    "an operation without a repeatable form",
    "images a second",
    "share of a step that waits for data",
    "a head",
    "evaluation of 300 images",
    "Mirrored over all",
]


@pytest.mark.timeout(1800)
def test_every_proof_runs_and_holds_on_cpu_devices(tmp_path: Path, root: Path) -> None:
    rows = prove(SMALL, tmp_path, root)
    assert [row.what for row in rows] == PROOFS, table(rows)
    assert [row for row in rows if row.holds is False] == []
