"""Five branches of one trunk on real faces: the trunk is trained once, each branch is its full run bit for bit.

About two minutes on two idle cores: eleven trainings of a small network on twenty people of ORL, two at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.tracking import branch_history
from workbench.tracking.journal import Journal, read_journal
from workbench.train import checkpoint_file

SPEC = '''"""Which loss for the last epochs on ORL?"""
from workbench import *
trunk = Experiment(
    data=ImageFolder("orl_faces", only=tuple("s%02d" % n for n in range(1, 21)), hold_out=0.1),
    evaluate=HeldOutPairs(identities=4, pairs=60, name="unseen"),
    backbone=PlainCNN(image_size=32), embedding=E(size=16, dropout=0.2),
    stages=(Stage(loss=Softmax(), epochs=2), Stage(loss=ArcFace(scale=16), epochs=4)),
    optimizer=SGD(momentum=0.9), learning_rate=Cosine(peak=0.05, floor=1e-3, cycle=6), weight_decay=5e-4,
    augment=(Flip(), Cutout()), batch_size=32,
)
def branch(name, loss, **settings):
    return trunk.branch(at_epoch=4, stages=Stage(loss=loss, epochs=2), name=name, **settings)
branches = [
    branch("arc", ArcFace(scale=32)), branch("cos", CosFace(scale=16)), branch("soft", Softmax(), label_smoothing=0.1),
    branch("center", ArcFace(scale=16) + 0.1 * Center()), branch("nadam", ArcFace(scale=16), optimizer=Nadam()),
]
experiments = {experiments}
'''
NAMES = ["arc", "center", "cos", "nadam", "soft"]


def run(project: Path, spec: str) -> dict[str, Journal]:
    """Train all of a spec and return the journals of its runs by their names."""
    (project / "experiments").mkdir(parents=True)
    (project / "mlruns").mkdir()
    (project / "experiments" / "study.py").write_text(SPEC.format(experiments=spec))
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "run", "experiments/study.py", "--jobs", "2"],
        cwd=project,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    found = [read_journal(path) for path in (project / "mlruns" / "journal").glob("*.jsonl")]
    return {journal.start.name: journal for journal in found if journal.start}


def rows(journal: Journal) -> list[Any]:
    return [
        (r.epoch, r.stage, r.stage_epoch, r.step, dict(r.metrics)) for r in branch_history.all_rows(journal)
    ]


@pytest.mark.tensorflow
def test_five_branches_of_one_trunk_train_it_once_and_equal_their_full_runs(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(real_data))
    grown = run(tmp_path / "grown", "branches")
    executed = {name: len(journal.accepted()) for name, journal in grown.items()}
    assert executed == {"trunk@4": 4, **dict.fromkeys(NAMES, 2)}
    whole = run(tmp_path / "whole", "[branch.but(trunk=None) for branch in branches]")
    assert {name: len(journal.accepted()) for name, journal in whole.items()} == dict.fromkeys(NAMES, 6)
    for name in NAMES:
        assert rows(grown[name]) == rows(whole[name])
        one, other = (
            checkpoint_file.newest(tmp_path / place / "mlruns" / "checkpoints" / found[name].run)
            for place, found in (("grown", grown), ("whole", whole))
        )
        assert one is not None
        assert other is not None
        assert one.arrays.keys() == other.arrays.keys()
        differing = [key for key in one.arrays if not np.array_equal(one.arrays[key], other.arrays[key])]
        assert differing == [], name
    print(
        f"epochs executed: {sum(executed.values())} with a trunk, {6 * len(NAMES)} without; 5 of 5 bit-equal"
    )


@pytest.mark.tensorflow
def test_a_variant_and_its_branch_side_by_side_train_the_shared_epochs_once(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(real_data))
    found = run(tmp_path / "beside", "[branches[0], trunk.but(name='whole')]")
    assert {name: [row.epoch for row in journal.accepted()] for name, journal in found.items()} == {
        "whole": [1, 2, 3, 4, 5, 6],
        "arc": [5, 6],
    }
