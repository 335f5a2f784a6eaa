"""Models beside a journal are in MLflow as logged models, whatever a store does, and registered as was asked."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from stores import everything, query, record, start

from workbench.security.foreign_files import files_below
from workbench.tracking import logged_models
from workbench.tracking.logged_models import Registration
from workbench.tracking.store import Store
from workbench.tracking.sync_thread import keep_artifact
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
from workbench.views.mlflow_models import ModelSender
from workbench.views.model_registry import Registry
from workbench.views.rebuild import rebuild
from workbench.views.sync import sync


def silent(line):
    raise AssertionError(f"said: {line}")


def ignore(line):
    assert line


def keep_model(store, run, name="model", epoch=2):
    """Put a model of MLflow's form beside a journal, without TensorFlow."""
    with logged_models.placing(store, run, name) as folder:
        (folder / "tf2model").mkdir(parents=True)
        (folder / "tf2model" / "weights").write_bytes(b"w" * 5000)
        description = {"model_id": None, "metadata": {"epoch": epoch}, "flavors": {"python_function": {}}}
        (folder / "MLmodel").write_text(yaml.safe_dump(description))


def recorded(store, name="one", with_model=True, views=True):
    first = start(name=name)
    with Tracker.open(store, first, say=ignore, views=default_views(store) if views else []) as tracker:
        record(tracker, range(1, 4))
        if with_model:
            keep_model(store, first.run)
        tracker.end("finished")
    return first.run


def test_the_model_of_a_run_is_a_logged_model_with_settings_scores_and_a_link(store):
    run = recorded(store)
    shown = everything(store)[run]["models"]["model"]
    assert shown["status"] == 2  # ready
    assert shown["parameters"]["embedding.dropout"] == "0.4"
    assert shown["tags"]["workbench.run"] == run
    assert ("lfw", 2, 2.3) in shown["metrics"]
    assert shown["outputs"] == [(1, 2)]
    assert yaml.safe_load(shown["files"]["MLmodel"]) == {
        "model_id": "MODEL",
        "metadata": {"epoch": 2},
        "flavors": {"python_function": {}},
        "run_id": "RUN",
    }
    assert sync(store, silent).changed == []


def test_the_weights_of_a_model_lie_in_the_store_once(store):
    run = recorded(store)
    kept = logged_models.folder(store, run) / "model" / "tf2model" / "weights"
    ((place,),) = query(store, "SELECT artifact_location FROM logged_models")
    assert os.path.samefile(kept, Path(place) / "tf2model" / "weights")


@pytest.mark.parametrize("broken", ["_send_files", "_send_scores", "_is_output", "finalize"])
def test_a_model_that_a_kill_left_half_sent_is_completed(store, monkeypatch, broken):
    whole = everything_after(store, recorded(store, "whole"))

    def fall(*_):
        raise ConnectionError("gone")

    with monkeypatch.context() as patch:
        if broken == "finalize":
            from mlflow import MlflowClient

            patch.setattr(MlflowClient, "finalize_logged_model", fall)
        else:
            patch.setattr(ModelSender, broken, fall)
        run = recorded(store, "half")
    sync(store, ignore)
    found = everything_after(store, run)
    assert found["files"] == whole["files"]
    assert {k: v for k, v in found.items() if k != "tags"} == {k: v for k, v in whole.items() if k != "tags"}
    assert query(store, "SELECT COUNT(*) FROM logged_models") == [(2,)]
    assert sync(store, silent).changed == []


def everything_after(store, run):
    return everything(store)[run]["models"]["model"]


def test_a_rebuild_gives_models_and_versions_back_with_their_numbers(store):
    runs = [recorded(store, name) for name in ("one", "two", "three")]
    for moment, (run, alias) in enumerate(zip(reversed(runs), ("", "champion", "champion")), start=1):
        logged_models.keep(store, Registration(run, "faces", alias=alias, time=float(moment)))
    sync(store, silent)
    client = Registry(*opened(store)).client
    client.delete_model_version("faces", "1")  # by a person, in MLflow's pages
    before = everything(store)
    assert before[runs[0]]["models"]["model"]["versions"] == [("faces", 3, 1, "champion")]
    assert before[runs[1]]["models"]["model"]["versions"] == [("faces", 2, 1, None)]
    assert before[runs[2]]["models"]["model"]["versions"] == []
    assert sync(store, silent).changed == []
    assert before == everything(store)

    done = rebuild(store, ignore)
    after = everything(store)
    assert after[runs[0]] == before[runs[0]]
    assert after[runs[1]] == before[runs[1]]
    assert after[runs[2]]["models"]["model"]["versions"] == [("faces", 1, 1, None)]  # its note is the truth
    places = [Path(place) for (place,) in query(store, "SELECT artifact_location FROM logged_models")]
    assert all((place / "tf2model" / "weights").is_file() for place in places)
    assert sorted(store.artifacts.glob("*/models/*")) == sorted(place.parent for place in places)
    assert len(list((done.backup / "artifacts").glob("*/models/*"))) == 3
    assert sync(store, silent).changed == []


def test_a_version_whose_number_was_higher_gets_it_again(store):
    run = recorded(store)
    logged_models.keep(store, Registration(run, "faces", version=4, model_id="m-lost", time=1.0))
    sync(store, silent)
    assert everything_after(store, run)["versions"] == [("faces", 4, 1, None)]
    (note,) = logged_models.registrations(store, run)
    assert note.version == 4
    assert note.model_id != "m-lost"


def opened(store):
    from workbench.tracking.mlflow_client import open_client

    return open_client(store), store


def test_what_is_registered_while_mlflow_is_away_comes_with_the_next_sync(store):
    run = recorded(store, views=False)
    logged_models.keep(store, Registration(run, "faces", alias="champion"))
    assert sync(store, silent).changed == [run]
    assert everything_after(store, run)["versions"] == [("faces", 1, 1, "champion")]


def test_a_half_made_model_is_none_and_a_kept_one_is_replaced_whole(store):
    run = recorded(store, with_model=False)
    folder = logged_models.folder(store, run)
    (folder / f".model.{2**22 + 1}.123456789012").mkdir(parents=True)
    (folder / f".model.{2**22 + 1}.123456789012" / "MLmodel").write_text("half")
    assert logged_models.names(store, run) == []
    keep_model(store, run)
    keep_model(store, run, epoch=3)
    assert [path.name for path in folder.iterdir()] == ["model"]
    with pytest.raises(OSError, match="full"), logged_models.placing(store, run, "model") as aside:
        aside.mkdir()
        raise OSError("full")
    assert yaml.safe_load((folder / "model" / "MLmodel").read_text())["metadata"] == {"epoch": 3}
    assert [path.name for path in folder.iterdir()] == ["model"]


def test_registrations_of_two_at_once_are_all_kept(tmp_path):
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")

    def note(number: int) -> None:
        logged_models.keep(store, Registration("r", f"faces-{number}", time=float(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(40)))
    assert [row.time for row in logged_models.registrations(store, "r")] == [float(n) for n in range(40)]


def test_what_is_not_whole_is_never_among_the_artifacts(tmp_path, monkeypatch):
    store, seen = Store(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}"), []
    write = Path.write_bytes

    def write_and_list(path: Path, content: bytes) -> int:
        size = write(path, content)
        seen.extend(files_below(store.run_artifacts("r")))
        return size

    monkeypatch.setattr(Path, "write_bytes", write_and_list)
    keep_artifact(store, "r", "scores/best/lfw.npz", b"all of it")
    assert seen == []
    assert list(map(str, files_below(store.run_artifacts("r")))) == ["scores/best/lfw.npz"]
