"""From journals to curves: what was planned is known, and a study's finished runs are its prior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from analysis.commands.forecast import forecast
from analysis.forecast.plans import planned
from analysis.forecast.runs import curves, priors
from analysis.forecast.stopping import watch
from analysis.sources import load
from workbench import GDC, SGD, ArcFace, Experiment, MobileFaceNet, Softmax, Stage, Steps, SyntheticFaces
from workbench.errors import RecordError
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord

SPEC = Experiment(
    data=SyntheticFaces(identities=8, images=8),
    backbone=MobileFaceNet(image_size=32, width=0.25),
    embedding=GDC(size=16),
    stages=(Stage(loss=Softmax(), epochs=10), Stage(loss=ArcFace(), epochs=30)),
    optimizer=SGD(),
    learning_rate=Steps(peak=0.1, factor=0.1, from_epochs=(21, 31)),
    batch_size=16,
)


def journal(
    store: Path, number: int, epochs: int, end: float, status: str = "finished", **start: object
) -> str:
    run = f"20260101T00000{number}Z-0000000{number}"
    (store / "journal").mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(number)
    with JournalWriter(store / "journal" / f"{run}.jsonl") as writer:
        stages = tuple({"name": f"s{k}", "epochs": stage.epochs} for k, stage in enumerate(SPEC.stages, 1))
        writer.append(
            StartRecord(
                run=run, study="study", name=f"v{number}", spec=SPEC.to_json(), stages=stages, **start
            )
        )
        for epoch in range(1, epochs + 1):
            first = epoch <= 10
            metrics = {
                "loss": (4.0 if first else 14.0) * np.exp(-(epoch if first else epoch - 10) / 8) + 1,
                "lr": 0.1 if epoch < 21 else 0.01 if epoch < 31 else 0.001,
                "lfw": end - 0.3 * np.exp(-epoch / 5) + 0.002 * generator.normal(),
            }
            writer.append(
                EpochRecord(
                    stage=1 if first else 2,
                    stage_epoch=epoch if first else epoch - 10,
                    epoch=epoch,
                    step=4 * epoch,
                    metrics={name: float(value) for name, value in metrics.items()},
                    seconds=1800.0,
                )
            )
        if epochs == 40:
            writer.append(EndRecord(status=status))
    return run


@pytest.fixture
def store(project: Path) -> Path:
    place = project / "mlruns"
    for number in range(1, 5):
        journal(place, number, 40, 0.9 + 0.01 * number)
    return place


def test_plans_come_from_the_spec_in_the_journal(store: Path) -> None:
    run = journal(store, 5, 15, 0.95)
    found = {curve.run: curve for curve in curves(load(), "lfw")}
    curve = found[run]
    assert (curve.total, curve.stages, curve.last, curve.finished) == (40, (1, 11), 15, False)
    assert len(curve.rates) == 40
    assert curve.rates[19] == pytest.approx(0.1)
    assert curve.rates[20] == pytest.approx(0.01)
    assert curve.rates[30] == pytest.approx(0.001)
    assert curve.seconds == pytest.approx(1800.0)
    assert len(priors(list(found.values()))[0]) == 4


def test_a_running_run_is_forecast_to_its_planned_end_with_its_study_as_prior(store: Path) -> None:
    run = journal(store, 5, 15, 0.95)
    done = CliRunner().invoke(forecast, [run, "--metric", "lfw", "--json"], catch_exceptions=False)
    line = json.loads(done.output.splitlines()[-1])
    assert (line["to"], line["epochs_left"], line["other_runs"]) == (40, 25, 4)
    assert line["hours_left"] == pytest.approx(12.5)
    assert line["beat"]["value"] == pytest.approx(0.94, abs=0.01)
    assert line["interval80"][0] < 0.95 < line["interval80"][1]


def test_the_loss_is_followed_to_the_end_of_its_stage_only(store: Path) -> None:
    run = journal(store, 5, 7, 0.95)
    done = CliRunner().invoke(forecast, [run, "--metric", "loss", "--json"], catch_exceptions=False)
    line = json.loads(done.output.splitlines()[-1])
    assert line["to"] == 10
    assert line["median"] == pytest.approx(4.0 * np.exp(-10 / 8) + 1, abs=0.1)


def test_an_unknown_metric_is_refused_with_the_nearest(store: Path) -> None:
    with pytest.raises(RecordError, match="'lfw'"):
        curves(load(), "lwf")


def test_failed_killed_quick_and_running_runs_and_other_data_are_no_prior(store: Path) -> None:
    digits = {"data": "Digits"}
    journal(store, 5, 40, 0.5, status="failed")
    journal(store, 6, 40, 0.5, status="killed")
    journal(store, 7, 40, 0.5, quick=True)
    journal(store, 8, 40, 0.5, parameters=digits)
    run = journal(store, 9, 15, 0.95, parameters={"data": "SyntheticFaces"})
    done = CliRunner().invoke(forecast, [run, "--metric", "lfw"], catch_exceptions=False)
    learnt = done.output.splitlines()[-1]
    assert "learnt from 4 other runs: v1, v2, v3, v4 (left out:" in learnt
    for words in ("2 not finished", "1 quick", "1 on other data"):
        assert words in learnt
    names = [curve.name for curve in watch("lfw", "study", parameters=digits).others]
    assert names == ["v1", "v2", "v3", "v4", "v8"]


def test_a_watcher_of_a_study_learns_from_its_finished_runs(store: Path) -> None:
    journal(store, 5, 15, 0.95)
    watcher = watch("lfw beat=0.9", "study")
    assert len(watcher.others) == 4
    plan = planned(SPEC.plans())
    values = [0.95 - 0.3 * np.exp(-epoch / 5) for epoch in range(1, 16)]
    metrics = watcher.observe({"lfw": values}, plan).metrics
    assert metrics["forecast.lfw_chance"] > 0.5
    assert watch("lfw", "another study").others == []
