"""Samplers, mined triplets and mixed labels in a whole run, interrupted and not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from material import write_faces

from workbench.cli import main

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Do mined triplets and mixed images train?"""
from workbench import (SGD, E, Triplet, Experiment, Flip, MinedTriplets, Mixup, PlainCNN, Softmax, Stage,
                       SyntheticFaces)

experiment = Experiment(
    data=SyntheticFaces(identities=5, images=8, image_size=32, hold_out=0.2),
    backbone=PlainCNN(filters=(8, 8, 8)), embedding=E(size=16),
    stages=(
        Stage(loss=Softmax(), epochs=1, augment=(Flip(), Mixup(0.4))),
        Stage(loss=Triplet(alpha=0.3), epochs=3,
              sampler=MinedTriplets(identities=5, images=4, alpha=0.5, every=2)),
    ),
    optimizer=SGD(), learning_rate=0.05, batch_size=9, log_model="none",
)
'''

BROKEN = '''"""Is a broken image named?"""
from workbench import SGD, E, Experiment, ImageFolder, PlainCNN, Softmax, Stage

experiment = Experiment(
    data=ImageFolder("faces", keep="no"), backbone=PlainCNN(filters=(8, 8, 8)), embedding=E(size=8),
    stages=Stage(loss=Softmax(), epochs=1), optimizer=SGD(), learning_rate=0.1, batch_size=4, log_model="none",
)
'''


def rows(project: Path) -> list[dict[str, float]]:
    (journal,) = (project / "mlruns" / "journal").glob("*.jsonl")
    lines = [json.loads(line[9:]) for line in journal.read_text().splitlines()]
    return [line["metrics"] for line in lines if line["kind"] == "epoch"]


def test_mined_triplets_and_mixup(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "mine.py").write_text(SPEC)
    assert main(["run", "mine.py"]) == 0, capsys.readouterr()
    values = rows(project)
    assert len(values) == 4
    mined = sorted(path.name for path in (project / "mlruns").rglob("mined-*.array"))
    assert mined == ["mined-2.array", "mined-4.array"]
    assert all(value["loss"] > 0 for value in values)


def test_image_that_breaks_in_the_middle_of_a_training_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_faces(project / "faces", people=3, images=4, side=48)
    victim = folder / "person 1" / "02.png"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    victim.write_bytes(content)
    (project / "broken.py").write_text(BROKEN)
    assert main(["run", "broken.py"]) == 2
    (journal,) = (project / "mlruns" / "journal").glob("*.jsonl")
    end = json.loads(journal.read_text().splitlines()[-1][9:])
    assert end["kind"] == "end"
    assert "person 1/02.png cannot be decoded" in end["reason"]


def test_a_process_that_read_a_folder_ends_without_a_word_of_tensorflows(project: Path) -> None:
    write_faces(project / "faces", people=3, images=4, side=48)
    (project / "small.py").write_text(BROKEN)
    words = [sys.executable, "-m", "workbench", "run", "small.py"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
