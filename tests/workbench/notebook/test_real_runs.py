"""What a `Run` can do, on runs of handwritten digits that are trained once here: nothing in this file is a stand-in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench
from workbench import SGD, Choice, Digits, E, Experiment, GridSearch, PlainCNN, Softmax, Stage, Sweep
from workbench.errors import RecordError
from workbench.notebook.run_view import Run

pytestmark = pytest.mark.tensorflow

BASE = Experiment(
    data=Digits(hold_out=0.25),
    backbone=PlainCNN(image_size=32, filters=(8, 16, 16), dense=32),
    embedding=E(size=16),
    stages=(
        Stage(loss=Softmax(), epochs=2),
        Stage(loss=Softmax(), epochs=3, optimizer_state="reset", name="again"),
    ),
    optimizer=SGD(momentum=0.9),
    learning_rate=0.05,
    batch_size=64,
    log_model="none",
)


class StopsAt:
    """A watcher that is interrupted as by Ctrl-C when an epoch ends."""

    def __init__(self, epoch: int) -> None:
        self.epoch_ = epoch

    def epoch(self, history: Any, facts: Any) -> tuple[dict[str, float], str | None]:
        if facts["epoch"] == self.epoch_:
            raise KeyboardInterrupt
        return {}, None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that is the working folder of all tests here."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "pyproject.toml").write_text('[project]\nname = "scratch"\n')
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    return workbench.run(BASE, study="digits", name="base", process=False)


def test_a_run_embeds_and_predicts(run: Run, tmp_path: Path) -> None:
    images = run.images(20)
    found = run.embed(images)
    assert found.shape == (20, 16) and found.dtype == np.float32 and np.isfinite(found).all()
    result = run.predict(images)
    assert list(result.columns) == ["identity", "label", "probability"] and len(result) == 20
    assert result["probability"].between(0.1, 1).all() and result["identity"].nunique() > 3
    from PIL import Image

    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, pixels in zip(paths, images):
        Image.fromarray(pixels).save(path)
    np.testing.assert_allclose(run.embed(paths), found[:3], rtol=1e-3, atol=1e-3)
    assert run.model("last") is run.model("last")
    with pytest.raises(RecordError, match="no state after epoch 1 is kept"):
        run.model(1)


def test_an_interrupted_run_resumes_to_the_same_history_and_speaks_of_nothing_new(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        workbench.run(BASE, study="digits", name="stopped", process=False, watcher=StopsAt(4))
    found = workbench.find("digits/stopped")
    assert found.status == "stopped" and found.history.index.tolist() == [1, 2, 3]
    assert "state is reset" in capfd.readouterr().out  # where the stage begins it is new
    assert found.resume(process=False) is found
    assert "state is reset" not in capfd.readouterr().out
    assert found.status == "finished"
    same = [name for name in run.history if name != "seconds"]
    assert found.history[same].equals(run.history[same])
    with pytest.raises(RecordError, match="is finished"):
        found.resume(process=False)


def test_a_forecast_learns_from_the_study_and_draws_itself(run: Run) -> None:
    outlook = run.forecast("val_accuracy", to=8)
    assert repr(outlook).startswith("<Forecast base: val_accuracy is ")
    assert outlook.to == 8 and len(outlook.figure().axes) == 1


def test_the_run_in_mlflow_is_the_same_run(run: Run) -> None:
    from workbench.tracking.store import find_store
    from workbench.views.sync import sync

    sync(find_store(), lambda line: None)  # a busy machine may end a run before MLflow was ready
    found = run.mlflow_run
    assert found.data.tags["workbench.run"] == run.run and found.info.status == "FINISHED"
    assert found.data.metrics["val_accuracy"] == run.history["val_accuracy"].iloc[-1]
    assert found.data.params["batch_size"] == "64"


def test_a_branch_shares_its_trunks_epochs(run: Run) -> None:
    experiment = run.branch(after_stage=1, stages=Stage(loss=Softmax(), epochs=1), learning_rate=0.01)
    branch = workbench.run(experiment, study="digits", name="branch", process=False)
    assert branch.history.index.tolist() == [1, 2, 3]
    assert branch.history["loss"].tolist()[:2] == run.history["loss"].tolist()[:2]
    assert branch.journal.trunk["epoch"] == 2


def test_a_sweep_gives_its_trials_runs_and_best(place: Path) -> None:
    base = BASE.but(stages=(Stage(loss=Softmax(), epochs=1),))
    search = Sweep(base=base, space={"batch_size": Choice(64, 256)}, tuner=GridSearch(), name="sizes")
    found = workbench.sweep(search, study="digits_sizes", process=False)
    assert sorted(found.trials["batch_size"]) == [64, 256] and set(found.trials["status"]) == {"completed"}
    assert len(found.runs) == 2 and all(len(one.history) == 1 for one in found.runs)
    best = found.trials["val_accuracy"].max()
    assert found.best.scores.loc["val_accuracy", "best"] == pytest.approx(best)
    assert "2 trials by val_accuracy" in repr(found) and "<table" in found._repr_html_()
