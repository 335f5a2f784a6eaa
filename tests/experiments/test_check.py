"""`workbench check experiments/*.py`: every study checks on a machine without any of the data sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workbench import catalog
from workbench.commands.trials import Trials, kind
from workbench.experiment import Experiment

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "experiments").glob("*.py"))

SPEC = '''
"""Is it checked?"""

from workbench import E, PlainCNN, SGD, ArcFace, Experiment, Softmax, Stage, SyntheticFaces, Triplet

base = Experiment(
    data=SyntheticFaces(identities=8, images=16, image_size=32), backbone=PlainCNN(), embedding=E(size=8),
    stages=(Stage(loss=Softmax(), epochs=2), Stage(loss=ArcFace(scale=16), epochs=1)),
    optimizer=SGD(), learning_rate=0.1, batch_size=16,
)
'''


@pytest.mark.tensorflow
@pytest.mark.timeout(900)
@pytest.mark.xfail(
    reason="open: the stand-in of small_distillation has 8 identities, its teacher 10 logits", strict=False
)
def test_all_studies_check_without_their_data(project: Path):
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "check", *map(str, SPECS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = [f"{v.study}/{v.name}  id {v.experiment.id}" for path in SPECS for v in catalog.load(path)]
    said = done.stdout.splitlines()
    assert [line for line in said if "  id " in line] == names
    assert any("faces_emore_112x112_folders' is not there" in line for line in said)
    assert any("  stage 1 " in line for line in said)


@pytest.mark.tensorflow
def test_one_file_steps_every_stage_at_full_size_and_several_try_what_is_new(project: Path):
    first, second = project / "experiments" / "one.py", project / "experiments" / "two.py"
    first.write_text(SPEC + "experiments = [base, base.but(stages=base.stages[:1])]\n")
    second.write_text(SPEC + "experiment = base.but(stages=(base.stages[1], base.stages[0]))\n")
    alone = [line for line in checked(first) if "stage " in line]
    assert [line.split()[1] for line in alone] == ["1", "2"], "the second variant holds nothing new"
    assert all("trained parameters" in line for line in alone)
    both = checked(first, second)
    assert sum("  stage " in line for line in both) == 4, "the other order is another switch"
    assert sum("  network " in line for line in both) == 1


def checked(*paths: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "check", *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def spec(project: Path, line: str) -> Experiment:
    path = project / "experiments" / "study.py"
    path.write_text(SPEC + f"experiment = {line}\n")
    return catalog.load(path)[0].experiment


def test_stages_that_differ_in_numbers_alone_are_of_one_kind(project: Path):
    def stage(text: str) -> object:
        return kind(spec(project, f"base.but(stages=Stage(epochs=1, {text}))").plans()[0].loss)

    assert stage("loss=ArcFace(scale=16)") == stage("loss=ArcFace(scale=64, margin=0.4)")
    assert stage("loss=ArcFace()") != stage("loss=ArcFace(margin=0)")
    assert stage("loss=ArcFace()") != stage("loss=ArcFace(form='trig')")
    assert stage("loss=ArcFace() + 64 * Triplet()") == stage("loss=ArcFace() + 8 * Triplet(alpha=0.2)")
    assert stage("loss=Triplet()") != stage("loss=Triplet(mining='all')")


def test_what_has_been_tried_is_not_tried_again(project: Path):
    trials = Trials(full=False, where=catalog.places(project))
    both = spec(project, "base")
    assert trials._untried(both) == 2
    assert trials._untried(both) == 0
    assert trials._untried(both.but(learning_rate=0.2)) == 0
    assert trials._untried(both.but(label_smoothing=0.1)) == 2
    assert trials._untried(both.but(stages=both.stages * 2)) == 3, "up to the switch back to softmax"
