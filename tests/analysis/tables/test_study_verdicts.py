"""What a study reached as facts that a file keeps: folds as one row, another study's run as the baseline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from makers import add_run
from test_folded import add_folds, drawn, protocol

from analysis.tables.results import page
from analysis.tables.study_verdicts import baseline_of
from workbench.cli import main
from workbench.errors import SpecError

SPEC = '''"""Does it?"""
from workbench import SGD, GDC, Experiment, ImageFolder, MobileFaceNet, Pairs, Softmax, Stage
base = Experiment(
    data=ImageFolder("faces"), evaluate=Pairs("pairs.txt", name="unseen"), backbone=MobileFaceNet(),
    embedding=GDC(), stages=Stage(loss=Softmax(), epochs=2), optimizer=SGD(), learning_rate=0.1, batch_size=8,
    select="accuracy", name="base",
)
'''


@pytest.fixture
def specs(project: Path) -> Path:
    folder = project / "experiments"
    folder.mkdir(exist_ok=True)
    (folder / "plain.py").write_text(SPEC + "experiments = [base]\n")
    more = 'baseline = "plain/base"\nexperiments = [base.but(label_smoothing=0.1, name="smooth")]\n'
    (folder / "other.py").write_text(SPEC + more)
    (folder / "study.py").write_text(SPEC + "experiments = [*base.folds()]\n")
    return project


def refreshed(project: Path, study: str) -> dict[str, dict]:
    file = project / "results.json"
    assert main(["results", study, "--refresh", "--file", str(file)]) == 0
    return {name: row["judged"] for name, row in json.loads(file.read_text())[study].items()}


def test_folds_are_one_row_of_results(specs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = add_folds(specs, "base", 0.5, 100)
    wanted = protocol(scores, drawn(0.5, 100)[1])
    facts = refreshed(specs, "study")
    assert list(facts) == ["base"]
    row = facts["base"]
    assert (row["folds"], row["seeds"], row["epoch"], row["pairs"]) == (10, 1, 2, 600)
    assert row["value"] == pytest.approx(wanted.mean(), abs=1e-6)
    assert row["error"] == pytest.approx(wanted.std(ddof=1) / np.sqrt(10), abs=1e-6)
    text = page(specs / "results.json")
    part = text[text.index("### study") :]
    assert "10 folds" in part and f"{wanted.mean():.4f}" in part


def test_a_study_is_judged_against_another_ones_run(specs: Path) -> None:
    for seed, (plain, smooth) in enumerate([(0.80, 0.9), (0.81, 0.91), (0.82, 0.92)]):
        add_run(specs, 1 + seed, "base", [plain], study="plain", seed=seed, group=1)
        add_run(specs, 11 + seed, "smooth", [smooth], study="other", seed=seed, group=2)
    facts = refreshed(specs, "other")
    assert list(facts) == ["smooth"]
    row = facts["smooth"]
    assert (row["against"], row["seeds"], row["test"]) == ("base", 3, "Welch's t of seeds")
    assert row["difference"] == pytest.approx(0.1)
    assert refreshed(specs, "plain")["base"]["verdict"] == "the baseline"


def test_a_baseline_is_a_study_and_a_name(specs: Path) -> None:
    assert baseline_of("other") == ("plain", "base")
    assert baseline_of("plain") is None
    (specs / "experiments" / "other.py").write_text(SPEC + "baseline = 'base'\nexperiments = [base]\n")
    with pytest.raises(SpecError, match="study and name"):
        baseline_of("other")


def test_trials_of_a_sweep_are_no_variants(specs: Path) -> None:
    add_run(specs, 1, "base", [0.8], study="plain")
    add_run(specs, 2, "plain-hyperband-0000", [0.9], study="plain", seed=0, group=2)
    assert list(refreshed(specs, "plain")) == ["base"]
