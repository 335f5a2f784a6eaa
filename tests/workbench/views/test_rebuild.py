"""A new MLflow store and new TensorBoard files from journals alone are equal to what was there."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal

import pytest
from stores import Board, everything, points, record, start

from workbench.errors import StoreError
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord
from workbench.tracking.store import Store, find_store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
from workbench.views.rebuild import rebuild
from workbench.views.sync import sync


def silent(line):
    raise AssertionError(f"said: {line}")


def files_of(store):
    return {path for path in store.root.rglob("*") if path.is_file()}


def ignore(line):
    assert line


@pytest.fixture(scope="module")
def filled(tmp_path_factory, schema):
    """A finished run, one resumed, one resumed from before a shown epoch, one failed, one interrupted.

    Each test leaves the records as they were.
    """
    store = find_store(str(tmp_path_factory.mktemp("filled") / "mlruns"))
    store.root.mkdir()
    shutil.copy(schema, store.database)
    finished = start(name="one", parameters={"rate": 0.1, "spec": "y" * 6500})
    with Tracker.open(
        store, finished, texts={"spec.py": "1"}, say=silent, views=default_views(store)
    ) as tracker:
        record(tracker, range(1, 4))
        tracker.end("finished")
    for name, again in (("two", 4), ("three", 2)):
        resumed = start(name=name)
        with Tracker.open(store, resumed, say=silent, views=default_views(store)) as tracker:
            record(tracker, range(1, 4))
            tracker.end("stopped", "SIGTERM")
        with Tracker.open(
            store, start(resumed.run, name=name, from_epoch=again), say=silent, views=default_views(store)
        ) as tracker:
            record(tracker, range(again, 6))
            tracker.end("finished")
    with Tracker.open(
        store, start(name="four", study="other"), say=silent, views=default_views(store)
    ) as tracker:
        record(tracker, range(1, 2))
        tracker.end("failed", "the loss is nan")
    with Tracker.open(store, start(name="five"), say=silent, views=default_views(store)) as tracker:
        record(tracker, range(1, 3))
    sync(store, silent)
    return store


def boards(store):
    board = Board(store.tensorboard)
    tags = ("loss", "lfw", "best/loss", "best/lfw", "stage")
    scalars = {(run, tag): board.scalars(run, tag) for run in board.runs() for tag in tags}
    sessions = sorted(group.SerializeToString(deterministic=True) for group in board.sessions())
    return scalars, sessions, board.experiment()


def test_a_rebuild_gives_back_what_was_there(filled):
    before, shown = everything(filled), boards(filled)
    assert len(before) == 5
    done = rebuild(filled, ignore)
    assert (done.runs, done.failed, done.foreign) == (5, {}, 0)
    assert everything(filled) == before
    assert boards(filled) == shown
    assert (done.backup / "mlflow.db").exists()
    kept = Store(done.backup, f"sqlite:///{done.backup / 'mlflow.db'}")
    assert points(kept, "loss", next(iter(before))) == points(filled, "loss", next(iter(before)))
    assert sync(filled, silent).changed == []
    leftovers = [path.name for path in filled.root.iterdir() if path.name.startswith("rebuild-")]
    assert leftovers == []


def test_a_lost_or_broken_database_comes_back(filled):
    before = everything(filled)
    shutil.rmtree(filled.tensorboard)
    filled.database.write_bytes(b"no database at all" * 1000)
    rebuild(filled, ignore)
    assert everything(filled) == before


def test_a_lost_database_comes_back_by_a_sync_too(filled, schema):
    before = everything(filled)
    shutil.copy(schema, filled.database)
    assert len(sync(filled, silent).changed) == 5
    assert everything(filled) == before


def test_a_moved_project_is_said_to_need_a_rebuild_and_gets_it(filled, tmp_path):
    before = everything(filled)
    place = tmp_path / "moved" / "mlruns"
    shutil.copytree(filled.root, place)
    files = {path for path in filled.root.rglob("*") if path.is_file()}
    moved = Store(place, f"sqlite:///{place / 'mlflow.db'}")
    run = next(iter(before))
    (moved.run_artifacts(run) / "new.txt").write_text("x")
    said = []
    done = sync(moved, said.append)
    assert list(done.failed) == [run]
    assert "workbench rebuild" in said[0]
    rebuild(moved, ignore)
    assert {path for path in filled.root.rglob("*") if path.is_file()} == files
    after = everything(moved)
    assert after[run]["files"]["new.txt"] == b"x"
    assert {name: shown["metrics"] for name, shown in after.items()} == {
        name: shown["metrics"] for name, shown in before.items()
    }


def test_nothing_is_rebuilt_while_a_run_is_recorded(filled):
    before = everything(filled)
    tracker = Tracker.open(filled, start(), views=[], say=silent)
    with pytest.raises(StoreError, match="being recorded"):
        rebuild(filled, ignore)
    tracker.end("finished")
    tracker.close()
    assert everything(filled) == before
    filled.journal(tracker.run).unlink()


def test_a_journal_without_an_intact_start_is_named_and_the_rest_rebuilt(filled):
    path = filled.journal("20260101T000000Z-00000000")
    with JournalWriter(path) as writer:
        writer.append(EndRecord(status="finished"))
    said = []
    done = rebuild(filled, said.append)
    assert list(done.failed) == ["20260101T000000Z-00000000"]
    assert "no start row is intact" in said[0]
    assert done.runs == 5
    path.unlink()


def test_a_rebuild_that_fails_leaves_everything_as_it_was(filled, monkeypatch):
    from workbench.views import rebuild as module

    before = everything(filled)
    files = {path for path in filled.root.rglob("*") if path.is_file()}

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(module, "_swap", fail)
    with pytest.raises(StoreError, match="no space.*make space"):
        rebuild(filled, ignore)
    assert everything(filled) == before
    assert files_of(filled) == files


@pytest.mark.parametrize("most", [1, 40_000, 400_000])
def test_a_full_disk_is_one_line_and_leaves_everything_as_it_was(filled, most, capfd):
    """No file may become longer than `most`: TensorBoard's, or the database, meets the end of the disk."""
    before, files = everything(filled), files_of(filled)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, old[1]))
    try:
        with pytest.raises(StoreError, match="could not be written|cannot be rebuilt"):
            rebuild(filled, lambda line: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "Traceback" not in capfd.readouterr().err
    assert everything(filled) == before
    assert files_of(filled) == files


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("again", [rebuild, sync])
def test_a_killed_rebuild_leaves_no_folders(filled, at, again):
    """The kill falls in the middle of a run, whose artifacts lie in their final place already."""
    from workbench.views import mlflow as module

    before, files = everything(filled), files_of(filled)
    child = os.fork()
    if child == 0:
        kept, left = module.MlflowView.close, [at]

        def close(self):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            kept(self)

        module.MlflowView.close = close
        with contextlib.suppress(BaseException):
            rebuild(filled, lambda line: None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = files_of(filled) - files
    assert any(path.is_relative_to(filled.artifacts) for path in left)
    again(filled, lambda line: None)
    assert everything(filled) == before
    assert not [path for path in left if path.exists()]
    assert not list(filled.root.glob("rebuild-*"))


def test_a_server_is_not_rebuilt_from_here(store):
    with pytest.raises(StoreError, match="workbench sync"):
        rebuild(Store(store.root, "http://127.0.0.1:1"), ignore)
