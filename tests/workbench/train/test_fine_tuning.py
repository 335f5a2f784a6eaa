"""The chapter of docs/branches.md on branches word for word, and fine-tuning on real faces by the chapter's stages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from running import journal, launch

from workbench.cli import main
from workbench.train import checkpoint_file

pytestmark = pytest.mark.tensorflow

FIRST = '''"""Weights to start from."""
from workbench import *
experiment = Experiment(
    data=ImageFolder("orl_faces", only=tuple(f"s{n:02d}" for n in range(1, 21))),
    backbone=MobileFaceNet(image_size=32, width=0.25, depth=0.34, stem_stride=1), embedding=GDC(size=16),
    stages=Stage(loss=Softmax(), epochs=1), optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=40, log_model="none",
)
'''
TUNED = '''"""Fine-tuned in stages."""
from workbench import *
tuned = Experiment(
    data=ImageFolder("orl_faces", only=tuple(f"s{n:02d}" for n in range(21, 41))),
    backbone=MobileFaceNet(image_size=32, width=0.25, depth=0.34, stem_stride=1), embedding=GDC(size=16),
    start=FromModel("trained.h5"),
    stages=(
        Stage(loss=ArcFace(scale=16), epochs=1, train="head"),
        Stage(loss=ArcFace(scale=16), epochs=1, train=("stage5_*", "last_*", "gdc_*", "pre_embedding")),
        Stage(loss=ArcFace(scale=16), epochs=1, learning_rate=0.005),
    ),
    optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=40, safety=Safety(keep=(1, 2)), log_model="none",
)
experiments = [tuned, tuned.but(name="wider", **{"backbone.width": 0.5})]
'''

# The chapter's spec with two convolutions and without its logged models, which take longer than the training.
SMALLER = (
    ("MobileFaceNet(image_size=32, width=0.25)", "LeakyCNN(image_size=32, filters=(8, 8))"),
    ("MobileFaceNet, Softmax", "LeakyCNN, Softmax"),
    ("batch_size=128,", 'batch_size=128, log_model="none",'),
)


def program(folder: Path, *words: str) -> str:
    process = launch([sys.executable, "-m", "workbench", *words], folder)
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, out
    return out


def only_run(folder: Path) -> str:
    return sorted((folder / "mlruns" / "journal").glob("*.jsonl"))[-1].stem


def test_the_commands_of_the_readmes_chapter_do_what_it_says(project: Path, root: Path) -> None:
    text = (
        (root / "docs" / "branches.md")
        .read_text(encoding="utf-8")
        .split("\n## Branches\n")[1]
        .split("\n## ")[0]
    )
    spec = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    for whole, small in SMALLER:
        assert spec.count(whole) == 1
        spec = spec.replace(whole, small)
    (project / "experiments" / "last_epochs.py").write_text(spec)
    commands = [words.split() for words in re.findall(r"^\$ workbench (.+)$", text, re.MULTILINE)]
    assert [words[0] for words in commands] == ["check", "run", "list", "plot"]
    said = [program(project, *words) for words in commands]
    assert said[0].count("epochs 1-2 are the trunk") == 2
    assert said[1].count("training the trunk first") == 1
    rows = {
        path.stem: journal(project, path.stem) for path in (project / "mlruns" / "journal").glob("*.jsonl")
    }
    assert sorted(len(found.accepted()) for found in rows.values()) == [1, 1, 2]  # the trunk is trained once
    assert said[2].count("branch of ") == 2
    assert "shared trunk" in (project / "branches.svg").read_text()


def test_fine_tuning_moves_the_head_then_the_last_blocks_then_all(
    project: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All in this process: one starts TensorFlow, and one process beside it opens the model files first."""
    monkeypatch.setenv("WORKBENCH_DATA", str(real_data))
    (project / "experiments" / "first.py").write_text(FIRST)
    (project / "experiments" / "tuned.py").write_text(TUNED)
    assert main(["run", "experiments/first.py"]) == 0
    first = only_run(project)
    assert main(["export", first, "--format", "h5", "--out", "out"]) == 0
    next((project / "out").glob("*.h5")).rename(project / "trained.h5")
    assert main(["run", "experiments/tuned.py", "base"]) == 0
    run = only_run(project)
    folder = project / "mlruns" / "checkpoints" / run

    def weights(place: Path) -> dict[str, np.ndarray]:
        found = checkpoint_file.read(place).arrays
        return {name: array for name, array in found.items() if name.startswith("embedder/")}

    def moved(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
        return [name for name in one if not np.array_equal(one[name], other[name])]

    start = weights(project / "mlruns" / "checkpoints" / first / checkpoint_file.BEST)
    after = [weights(folder / checkpoint_file.kept_name(epoch)) for epoch in (1, 2)]
    after.append(weights(checkpoint_file.generations(folder)[0]))
    assert moved(start, after[0]) == []  # the head alone
    second, third = moved(after[0], after[1]), moved(after[1], after[2])
    assert 0 < len(second) < len(start)
    assert min(second) > min(third)  # the last blocks, not the first layers
    assert len(third) == len(start)
    assert main(["run", "experiments/tuned.py", "wider"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "its layer 'stem_conv' (3, 3, 3, 16)" in said and "does not fit" in said
