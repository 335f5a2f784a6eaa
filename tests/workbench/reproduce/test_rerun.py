"""Real reruns: equal on the same machine, in the code of the time where that has changed, and clear refusals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from running import finished

from workbench.tracking.journal import read_journal

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Does it happen again?"""
import sys
sys.path.insert(0, {tests!r})
from specs import small
from rates import Mine
from workbench import Flip, Stage, Softmax
experiment = small(learning_rate=Mine(rate=0.05), stages=Stage(loss=Softmax(), epochs=2), augment=Flip())
'''
RATES = '''"""A schedule of the project's own."""
from workbench.spec.optimization import Schedule
from workbench.spec.part import part; from workbench.spec.part import setting

FACTOR = {factor}


@part
class Mine(Schedule):
    rate: float = setting(0.1, above=0, doc="the rate")

    def at(self, t):
        return self.rate * FACTOR

    def tensor(self, t):
        return 0 * t + self.rate * FACTOR

    def peak_rate(self):
        return self.rate * FACTOR
'''
RUN = "20260101T000000Z-00000001"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A repository with a spec, a run of uncommitted code in it, and another commit since."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("experiments", "mlruns", "datasets"):
        (folder / name).mkdir()
    (folder / ".gitignore").write_text("mlruns/\ndatasets/\n__pycache__/\n")
    (folder / "experiments" / "study.py").write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    (folder / "experiments" / "rates.py").write_text(RATES.format(factor=3))
    git(folder, "init", "-q")
    commit(folder)
    (folder / "experiments" / "rates.py").write_text(RATES.format(factor=1))
    done = finished(folder, "run", "experiments/study.py", "--run-name", RUN)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a step")


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout.strip(), done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_on_the_same_machine_and_code_a_rerun_is_equal(place: Path, root: Path) -> None:
    done = finished(place, "rerun", RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "curve: equal, bit for bit (2 epochs" in done.stdout
    assert "the weights are equal, too" in done.stdout
    assert "differs" not in done.stdout
    assert "uncommitted changes" in done.stdout
    new = sorted((place / "mlruns" / "journal").glob("*.jsonl"))[-1]
    start = read_journal(new).start
    assert start is not None
    assert start.tags["workbench.rerun"] == RUN
    assert start.run != RUN


def test_a_changed_augmentation_is_named(place: Path, root: Path) -> None:
    path = place / "experiments" / "study.py"
    text = path.read_text()
    path.write_text(text.replace("augment=Flip()", "augment=None"))
    try:
        found = answer(finished(place, "rerun", RUN, "--check", "--json"))["ingredients"]
    finally:
        path.write_text(text)
    assert found["spec"]["same"] is False
    assert found["spec"]["differences"] == ["augment: Flip in the record, off in experiments/study.py now"]
    assert found["code"]["same"] is False  # the file is part of the code
    assert found["data"]["same"] is True
    assert found["packages"]["same"] is True


def test_changed_code_is_brought_back_aside_and_the_working_tree_stays(place: Path, root: Path) -> None:
    (place / "experiments" / "rates.py").write_text(RATES.format(factor=0.1))
    commit(place)
    (place / "notes.txt").write_text("in progress")
    before = git(place, "status", "--porcelain", "--untracked-files=all")
    done = finished(place, "rerun", RUN, "--json")
    assert done.returncode == 0, done.stderr
    found = answer(done)
    assert found["curve"]["verdict"] == "equal"
    assert found["curve"]["weights_equal"] is True
    assert found["ingredients"]["code"]["same"] is False
    assert git(place, "status", "--porcelain", "--untracked-files=all") == before
    assert len(git(place, "worktree", "list").splitlines()) == 1
    start = read_journal(place / "mlruns" / "journal" / f"{found['run']}.jsonl").start
    original = read_journal(place / "mlruns" / "journal" / f"{RUN}.jsonl").start
    assert start is not None
    assert original is not None
    for fact in ("commit", "diff", "spec_path"):
        assert start.provenance[fact] == original.provenance[fact]


def test_with_the_code_that_is_here_the_curve_differs_and_the_culprit_is_named(
    place: Path, root: Path
) -> None:
    (place / "experiments" / "rates.py").write_text(RATES.format(factor=0.1))
    done = finished(place, "rerun", RUN, "--here")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "curve: differs" in done.stdout
    assert "what differs: code" in done.stdout
    assert "lr of epoch 1: 0.05" in done.stdout
    assert "in the record, 0.005" in done.stdout.replace("0.00499999989", "0.005")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("diff", "uncommitted changes that are not in its record (the file is not there)"),
        ("commit", "is not in this repository"),
    ],
)
def test_code_that_cannot_be_made_again_is_refused_in_clear_words(
    place: Path, root: Path, spoil: str, words: str
) -> None:
    (place / "experiments" / "rates.py").write_text(RATES.format(factor=7))
    diff = place / "mlruns" / "journal" / f"{RUN}.d" / "artifacts" / "uncommitted.diff"
    hidden = place / "hidden"
    if spoil == "diff":
        diff.rename(hidden)
    else:
        (place / ".git").rename(hidden)
        git(place, "init", "-q")
        commit(place)
    try:
        done = finished(place, "rerun", RUN)
    finally:
        if spoil == "diff":
            hidden.rename(diff)
        else:
            subprocess.run(["rm", "-r", str(place / ".git")], check=True)
            hidden.rename(place / ".git")
    assert done.returncode == 2
    assert words in done.stderr
    assert "--here" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
