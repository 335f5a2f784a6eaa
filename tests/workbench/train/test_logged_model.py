"""The best network of a run is a model in MLflow that works without this package, and can be registered."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from running import finished, journal, launch
from specs import tiny

from workbench import names
from workbench.cli import main
from workbench.errors import SpecError
from workbench.export.linked_weights import LINKED
from workbench.spec.variant import Variant
from workbench.tracking import logged_models
from workbench.tracking.rows import StartRecord
from workbench.tracking.store import Store, find_store
from workbench.train import checkpoint_file, logged_model
from workbench.train.request import RunRequest

SPEC = '''"""Which digit is it?"""
from workbench import MLP, Adam, Dense, Digits, Experiment, Features, Softmax, Stage

experiment = Experiment(
    name="dense", data=Digits(hold_out=0.2), backbone=MLP(image_size=8, units=(32,)), embedding=Features(),
    stages=Stage(loss=Softmax(head=Dense()), epochs=2), optimizer=Adam(), learning_rate=0.01, batch_size=32,
)
'''
ALONE = """
import sys, json
import numpy as np
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
images = np.load(sys.argv[2])
found = model.predict(images)
try:
    model.predict(images.astype(np.float64))
    refused = False
except mlflow.exceptions.MlflowException:
    refused = True
assert not [name for name in sys.modules if name.split(".")[0] in ("workbench", "analysis")]
print(json.dumps({"rows": found.tolist(), "refused": refused, "facts": model.metadata.metadata}))
"""


@pytest.mark.parametrize(
    ("rule", "quick", "trial", "wanted"),
    [
        ("full", False, False, True),
        ("full", True, False, False),
        ("full", False, True, False),
        ("all", True, True, True),
        ("none", False, False, False),
    ],
)
def test_a_setting_says_which_runs_log_a_model(
    tmp_path: Path, rule: str, quick: bool, trial: bool, wanted: bool
) -> None:
    variant = Variant("a", tiny(log_model=rule), study="s", path="", question="", quick=quick)
    tags = {names.TAG_SWEEP: "search"} if trial else {}
    request = RunRequest(variant, Store(tmp_path, "sqlite:///x"), "run", tags=tags)
    assert logged_model.is_wanted(request) is wanted


def test_the_setting_is_no_part_of_the_identity_and_is_checked() -> None:
    assert tiny(log_model="all").id == tiny().id
    assert tiny(log_model="all").parameters() == tiny().parameters()
    with pytest.raises(SpecError, match="log_model"):
        tiny(log_model="some")


def test_what_goes_wrong_with_a_model_is_said_and_costs_the_run_nothing(tmp_path: Path) -> None:
    variant = Variant("a", tiny(log_model="all"), study="s", path="", question="", quick=False)
    store, said = find_store(str(tmp_path / "mlruns")), []
    request = RunRequest(variant, store, "20260101T000000Z-00000000")
    screen = type("Screen", (), {"warn": lambda self, line: said.append(line)})()
    logged_model.keep_best(request, StartRecord(run=request.run), screen)
    assert said == [
        f"no model is logged: {request.run}: no checkpoint; run the experiment first, or resume it"
    ]
    assert logged_models.names(store, request.run) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store, str]:
    folder = tmp_path_factory.mktemp("logged")
    (folder / "mlruns").mkdir()
    (folder / "digits.py").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "digits.py"]) == 0
        store = find_store()
    (run,) = store.runs()
    return folder, store, run


@pytest.mark.tensorflow
def test_the_model_of_a_run_answers_without_this_package(trained, tmp_path: Path) -> None:
    from workbench.notebook.run_view import Run

    _, store, run = trained
    images = Run(store, run).images(5)
    np.save(tmp_path / "images.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, Run(store, run).model_uri, str(tmp_path / "images.npy")],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "MLFLOW_TRACKING_URI": store.uri,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    network = Run(store, run).model("best")
    expected = network((images.astype(np.float32) - 127.5) / 128, training=False).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(result["rows"], expected, atol=1e-5)
    assert result["refused"]  # the signature says bytes
    assert result["facts"]["run"] == run
    assert result["facts"]["settings"]["stages.1.epochs"] == 2


@pytest.mark.tensorflow
def test_the_weights_of_a_model_are_the_best_checkpoints_own_file(trained) -> None:
    _, store, run = trained
    best = store.run_checkpoints(run) / checkpoint_file.BEST
    places = [logged_models.folder(store, run) / "model", *store.artifacts.glob("*/models/*/artifacts")]
    assert len(places) == 2
    assert all(best.samefile(place / "tf2model" / "variables" / LINKED) for place in places)


@pytest.mark.tensorflow
def test_a_run_is_registered_with_an_alias_and_a_link(trained, monkeypatch, capsys) -> None:
    folder, store, run = trained
    monkeypatch.chdir(folder)
    words = ["export", "digits/dense:0", "--register", "digits"]
    assert main([*words, "--alias", "champion"]) == 0
    assert 'load_model("models:/digits@champion")' in capsys.readouterr().out
    assert main([*words, "--outputs", "probabilities", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == {"run": run, "registered": "digits", "version": 2, "alias": "", "model": "probabilities"}
    assert main([*words, "--alias", "v1"]) == 2
    assert main([*words, "--format", "h5"]) == 2
    assert main(["export", "digits/dense:0", "--register", "a/b"]) == 2

    from workbench.tracking.mlflow_client import open_client

    client = open_client(store)
    version = client.get_model_version_by_alias("digits", "champion")
    assert client.get_run(version.run_id).data.tags["workbench.run"] == run
    assert [dataclasses.astuple(one)[1:4] for one in logged_models.registrations(store, run)] == [
        ("digits", "model", "champion"),
        ("digits", "probabilities", ""),
    ]


STOPPING = (
    SPEC.replace("from workbench import", "from workbench import Watcher,")
    .replace(
        "experiment = Experiment(",
        '''class StopAt(Watcher):
    """Ends a run after its second epoch."""

    def on_epoch(self, look):
        if look.epoch == 2:
            look.stop("two are enough")


experiment = Experiment(watch=StopAt(), ''',
    )
    .replace("epochs=2", "epochs=4")
)

# Stands where the model is made, as long as it takes to be killed.
SLOW = """
import pathlib, sys, time
from workbench.cli import main
from workbench.export import mlflow_model
def write(*arguments, **settings):
    pathlib.Path("making").touch()
    time.sleep(600)
mlflow_model.write = write
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.tensorflow
def test_a_kill_while_the_model_is_made_leaves_an_early_stop_a_stop(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "digits.py").write_text(STOPPING)
    process = launch([sys.executable, "-c", SLOW, "run", "digits.py"], tmp_path)
    while not (tmp_path / "making").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.kill()
    process.wait(1200)
    store = find_store(str(tmp_path / "mlruns"))
    (run,) = store.runs()
    assert journal(tmp_path, run).end is None
    assert [row.stop for row in journal(tmp_path, run).accepted()] == ["", "two are enough"]

    done = finished(tmp_path, "resume", run)
    assert done.returncode == 0, done.stdout + done.stderr
    end = journal(tmp_path, run).end
    assert (end.status, end.reason) == ("finished", "two are enough")
    assert [row.epoch for row in journal(tmp_path, run).accepted()] == [1, 2]
    assert logged_models.names(store, run) == ["model"]
