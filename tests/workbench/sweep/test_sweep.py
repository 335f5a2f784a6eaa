"""Whole sweeps on the embedded digits: records, chains, failures, resumes, the best in full, chief and workers."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.cli import main
from workbench.tracking import sweeps
from workbench.tracking.journal import read_journal
from workbench.tracking.store import Store, find_store
from workbench.train import checkpoint_file

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Which?"""
from workbench import *
experiment = Experiment(
    data=Digits(hold_out=0.2), backbone=MLP(image_size=8, units=(16,)), embedding=F(size=8),
    stages=(Stage(loss=Softmax(), epochs=2), Stage(loss=Softmax(), epochs=2, learning_rate=0.01)),
    optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=256, log_model="none",
)
space = {"weight_decay": Choice(0, 1e-3), "backbone.units.1": Choice(8, 16)}
band = Sweep(base=experiment, space=space, tuner=Hyperband(max_epochs=4, factor=2), objective="val_accuracy", name="band")
fails = Sweep(
    base=experiment, space={"learning_rate": Choice(0.05, 1e30, 0.01), "stages.2.learning_rate": Choice(0.01)},
    tuner=GridSearch(), objective="val_loss", executions=2, name="fails",
)
sweeps = [band, fails, Sweep(base=experiment, space=space, tuner=GridSearch(), name="grid")]
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the Hyperband sweep has been done."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("experiments", "mlruns"):
        (folder / name).mkdir()
    (folder / "experiments" / "study.py").write_text(SPEC)
    (folder / "pyproject.toml").touch()
    run(folder, "band")
    return folder


def run(folder: Path, *words: str, status: int = 0) -> None:
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["sweep", "experiments/study.py", *words]) == status
    finally:
        os.chdir(here)


def store_of(folder: Path) -> Store:
    return find_store(str(folder / "mlruns"))


def record(folder: Path, name: str) -> sweeps.SweepRecord:
    return sweeps.require(store_of(folder), name)


def journal(folder: Path, run_name: str) -> Any:
    return read_journal(store_of(folder).journal(run_name))


def test_every_trial_is_a_run_and_a_promotion_goes_on_with_its_own(place: Path):
    found = record(place, "band")
    chains = {trial.request.chain: trial for trial in found.trials}
    promoted = [trial for trial in found.trials if trial.id != trial.request.chain]
    assert promoted
    for trial in chains.values():
        rows = journal(place, trial.request.runs[0]).accepted()
        assert [row.epoch for row in rows] == list(range(1, trial.request.epochs + 1))
        assert trial.score == max(row.metrics["val_accuracy"] for row in rows)
    for trial in promoted:
        starts = journal(place, trial.request.runs[0]).starts
        assert [start.from_epoch for start in starts] == sorted({start.from_epoch for start in starts})
        assert len(starts) > 1


def test_a_promoted_trial_ends_with_the_bits_of_an_undisturbed_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(place)
    trial = next(t for t in record(place, "band").trials if t.id != t.request.chain and t.request.epochs == 4)
    words = [f"--set={name}={value}" for name, value in trial.request.settings.items()]
    whole = "20260101T000000Z-00000000"
    text = (place / "experiments" / "study.py").read_text().split("space =")[0]
    (place / "experiments" / "plain.py").write_text(text)
    assert main(["run", "experiments/plain.py", "--run-name", whole, *words]) == 0
    rows = [
        [row.metrics for row in journal(place, name).accepted()] for name in (whole, trial.request.runs[0])
    ]
    assert rows[0] == rows[1]
    states = [
        checkpoint_file.newest(store_of(place).run_checkpoints(name))
        for name in (whole, trial.request.runs[0])
    ]
    assert states[0] and states[1]
    different = [n for n, one in states[0].arrays.items() if not np.array_equal(one, states[1].arrays[n])]
    assert different == []


def test_mlflow_shows_children_under_the_sweep_with_their_best_values(place: Path):
    found = record(place, "band")
    with sqlite3.connect(place / "mlruns" / "mlflow.db") as database:
        ids = dict(database.execute("SELECT value, run_uuid FROM tags WHERE key = 'workbench.run'"))
        parents = dict(database.execute("SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"))
        best = dict(
            database.execute("SELECT run_uuid, value FROM latest_metrics WHERE key = 'best/val_accuracy'")
        )
        states = dict(database.execute("SELECT run_uuid, status FROM runs"))
    for trial in {t.request.chain: t for t in found.trials}.values():
        child = ids[trial.request.runs[0]]
        assert parents[child] == ids[found.run]
        assert best[child] == trial.score
        assert states[child] == "FINISHED"
    assert best[ids[found.run]] == found.best().score  # type: ignore[union-attr]


def test_the_hparams_tab_has_a_session_a_trial_and_the_true_domains(place: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root = place / "mlruns" / "tensorboard"
    known = json.loads((root / ".hparams.json").read_text())["settings"]
    assert known["weight_decay"]["domain"] == {"values": [0.0, 1e-3]}
    assert known["backbone.units.1"] == {
        **known["backbone.units.1"],
        "type": "float64",
        "domain": {"values": [8, 16]},
    }
    found = record(place, "band")
    folders = sorted(path.name for path in (root / "study").iterdir() if path.name.startswith("band-"))
    assert folders == sorted(
        f"band-{t.request.chain}.{t.request.runs[0]}" for t in found.trials if t.id == t.request.chain
    )
    best = found.best()
    assert best
    events = EventAccumulator(str(next(root.glob(f"study/*{best.request.runs[0]}")))).Reload()
    assert events.Scalars("best/val_accuracy")[-1].value == pytest.approx(best.score)


def test_failed_trials_are_recorded_and_nan_never_wins(place: Path):
    run(place, "fails")
    found = record(place, "fails")
    failed = [trial for trial in found.trials if trial.status == "failed"]
    assert len(found.trials) == 3
    assert [trial.request.settings["learning_rate"] for trial in failed] == [1e30]
    assert "the loss is" in failed[0].reason
    for trial in found.trials:
        assert len(trial.request.runs) == 2
    for trial in (t for t in found.trials if t.status == "completed"):
        seeds = [journal(place, name).start.seed for name in trial.request.runs]
        lowest = [
            min(r.metrics["val_loss"] for r in journal(place, name).accepted()) for name in trial.request.runs
        ]
        assert seeds == [0, 1]
        assert list(trial.results) == lowest
        assert trial.score == pytest.approx(np.mean(lowest))
    rows = journal(place, found.run).accepted()
    assert rows[-1].metrics["failed_trials"] == 1
    assert "val_loss_std" in rows[0].metrics
