"""`workbench profile` on several devices: what they send each other is measured, by one, with all of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet, ended

from workbench.profile import xplane

SAMPLER = "stages.1.sampler=Identities(identities=4, images=4)"  # of the global batch, not of a device's part
SAMPLED = (
    "stages.1.loss=ArcFace(scale=16, head=Sampled(rate=0.5))"  # whose gradient has rows: here, of all 12
)
pytestmark = pytest.mark.tensorflow


def value(text: str) -> dict[str, Any]:
    (line,) = [line for line in text.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(line)
    return found


def check(found: dict[str, Any], folder: Path) -> None:
    """What any two devices must show; the network has 5 normalisations and a head without one."""
    assert (found["devices"], found["batch"]) == (2, 8)  # 16 images a step in all
    reduce, norms = found["parts"]["reduce"], found["parts"]["norms"]
    assert reduce["note"] == f"{4 * found['trained'] / 1e6:,.2f} MB of gradients over 2 devices"
    assert reduce["wall"] > 0 and norms["wall"] > 1e-4  # ten sums one after another
    assert norms["note"].startswith("5 normalisations")
    assert found["together"] > 0
    assert list(found["parts"])[-5:] == ["update", "reduce", "norms", "wait", "log"]
    data = ("read", "decode", "augment", "log")
    parts = sum(part["wall"] for name, part in found["parts"].items() if name not in data)
    assert parts >= found["together"] * 0.999  # what the parts leave is the waiting
    # in each of the traced steps: two sums a normalisation, and at least one of the gradients, on each device
    path = xplane.newest(folder)
    assert path is not None
    assert b"CollectiveReduceV2" in gzip.decompress(path.with_name("trace.json.gz").read_bytes())
    assert found["operations"]["CollectiveReduceV2"]["times"] >= 2 * 5 + 1


def test_two_logical_devices(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    words = ("profile", "experiments/fleet.py")
    results = ended(
        fleet.start(*words, "two", "--json", "--out", "both"),
        fleet.start(*words, "own", "--set", SAMPLER, "--set", SAMPLED, "--json", "--out", "own"),
    )
    assert [status for status, _ in results] == [0, 0], results
    both, own = (value(text) for _, text in results)
    check(both, tmp_path / "both")
    assert "norms" not in own["parts"]  # each device has statistics of its own
    assert own["parts"]["reduce"]["note"] == both["parts"]["reduce"]["note"]
    assert not list((tmp_path / "mlruns" / "journal").glob("*.jsonl"))  # nothing is recorded


def test_two_workers_measure_together_and_the_chief_prints(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    results = ended(*fleet.workers("profile", "experiments/fleet.py", "net", "--json", "--out", "both"))
    assert [status for status, _ in results] == [0, 0], results
    check(value(results[0][1]), tmp_path / "both")
    assert results[1][1].splitlines()[-1] == "measured with the chief, which prints"
    assert "{" not in results[1][1]
