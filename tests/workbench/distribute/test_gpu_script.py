"""A short form of what `make gpu` does, on the CPU: its script finds devices, measures in processes of their own, reports.

The whole of it on the CPU, with the trainings, is tests/acceptance/test_gpu_proof.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_proof import PROOFS, SMALL, prove, table

pytestmark = pytest.mark.tensorflow
SHORT = {"devices": "TensorFlow", "head": "a head", "evaluation": "evaluation of 300 images"}


def test_the_script_of_make_gpu_runs_on_the_cpu_and_its_proofs_hold(tmp_path: Path, root: Path) -> None:
    rows = prove(SMALL, tmp_path, root, SHORT)
    assert [row.what for row in rows] == list(SHORT.values()), table(rows)
    assert [row for row in rows if row.holds is False] == []


def test_a_proof_that_fails_is_a_row_and_the_others_follow(monkeypatch, tmp_path: Path, root: Path) -> None:
    def fails(proof: object) -> None:
        raise ValueError("no such device")

    monkeypatch.setitem(PROOFS, "devices", fails)
    monkeypatch.setitem(PROOFS, "head", lambda proof: proof.add("a head", "fits", True))
    rows = prove(SMALL, tmp_path, root, ["devices", "head"])
    assert [(row.what, row.holds) for row in rows] == [("devices", False), ("a head", True)]
    assert "| devices | ValueError: no such device | NO |" in table(rows)
