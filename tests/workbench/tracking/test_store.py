"""Where records are found, and what is said when they are not."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from stores import record, start

from workbench.errors import RecordError, StoreError
from workbench.tracking import store as module
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord, StartRecord
from workbench.tracking.runs import find_run, is_resumable, read_states, unfinished
from workbench.tracking.store import connect, find_store, read_runs
from workbench.tracking.tracker import Tracker
from workbench.views import default_views


def test_the_store_is_that_of_the_project_from_any_folder_below(project, monkeypatch):
    below = project / "experiments" / "deep"
    below.mkdir()
    monkeypatch.chdir(below)
    assert find_store().root == project / "mlruns"
    assert find_store().uri == f"sqlite:///{project / 'mlruns' / 'mlflow.db'}"


def test_an_address_goes_before_the_environment(project, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_STORE", "http://127.0.0.1:5000/")
    served = find_store()
    assert (served.uri, served.root, served.is_local) == (
        "http://127.0.0.1:5000",
        project / "mlruns",
        False,
    )
    here = find_store(str(tmp_path / "other"))
    assert (here.root, here.is_local) == (tmp_path / "other", True)
    assert find_store(f"sqlite:///{tmp_path}/other/mlflow.db") == here


@pytest.mark.parametrize("address", ["ftp://somewhere", "sqlite:////tmp/elsewhere.db"])
def test_an_unknown_kind_of_address_is_refused(address):
    with pytest.raises(StoreError, match="expected"):
        find_store(address)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(StoreError, match="not a folder"):
        find_store(str(tmp_path / "x"))


def test_a_store_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "journal").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        find_store(str(tmp_path / "mlruns")).require_writable()
    assert "--store" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def three(store):
    for name in ("20260101T000000Z-aaaa0000", "20260101T000000Z-aabb0000", "20260201T000000Z-cccc0000"):
        with JournalWriter(store.journal(name)) as writer:
            writer.append(StartRecord(run=name, id="i", seed=1))
            if name.startswith("202602"):
                writer.append(EndRecord(status="finished"))
    return store


def test_a_run_is_meant_by_its_name_or_a_unique_beginning(three):
    assert find_run(three, "20260201T000000Z-cccc0000") == "20260201T000000Z-cccc0000"
    assert find_run(three, "202602") == "20260201T000000Z-cccc0000"
    assert find_run(three, "20260101T000000Z-aab") == "20260101T000000Z-aabb0000"
    for text, words in (("2026", "fits 3 runs"), ("x", "no run 'x'"), ("", "no run ''")):
        with pytest.raises(RecordError, match=words) as caught:
            find_run(three, text)
        assert "\n" not in str(caught.value)


def test_unfinished_runs_of_a_spec_are_found_newest_first(three):
    assert unfinished(three, "i", 1) == ["20260101T000000Z-aabb0000", "20260101T000000Z-aaaa0000"]
    assert unfinished(three, "i", 2) == []
    assert [is_resumable(state) for state in read_states(three)] == [True, True, False]


def test_a_run_is_meant_by_its_mlflow_id_and_read_back(store):
    first = start()
    with Tracker.open(store, first, views=default_views(store)) as tracker:
        record(tracker, range(1, 3))
        tracker.end("finished")
    (row,) = read_runs(store)
    assert find_run(store, row.mlflow_id) == first.run
    assert (row.run, row.study, row.name, row.id, row.seed) == (
        first.run,
        "margin",
        "baseline",
        first.id,
        "0",
    )
    assert (row.status, row.quick) == ("finished", False)
    assert row.started == pytest.approx(first.time, abs=0.001)
    assert row.parameters["embedding.dropout"] == "0.4"


def test_a_missing_or_broken_database_is_refused_in_one_line(tmp_path):
    with pytest.raises(StoreError, match="no records yet"), connect(tmp_path / "mlflow.db"):
        pass
    (tmp_path / "mlflow.db").write_bytes(b"nonsense" * 500)
    with pytest.raises(StoreError, match="not a database") as caught, connect(tmp_path / "mlflow.db"):
        pass
    assert "\n" not in str(caught.value)


def test_a_locked_database_is_waited_for_and_then_refused(store, monkeypatch):
    writer = sqlite3.connect(store.database, check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    with pytest.raises(StoreError, match="locked"), connect(store.database):
        pass
    monkeypatch.setattr(module, "BUSY_SECONDS", 20.0)
    timer = threading.Timer(0.2, writer.rollback)
    timer.start()
    with connect(store.database) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    timer.join()
    writer.close()


def test_reading_changes_nothing(store):
    before = store.database.stat().st_mtime_ns
    with connect(store.database) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM runs")
    assert store.database.stat().st_mtime_ns == before


def test_asking_for_the_state_of_a_hundred_runs_is_quick(store):
    for number in range(100):
        with JournalWriter(store.journal(f"run{number:03}")) as writer:
            writer.append(StartRecord(run=f"run{number:03}"))
    began = time.perf_counter()
    assert {state.status for state in read_states(store)} == {"interrupted"}
    assert time.perf_counter() - began < 2  # it takes some 10 ms


def test_reading_records_imports_nothing_heavy(root):
    words = (
        "import sys, workbench.tracking.store, workbench.tracking.runs, workbench.tracking.journal,"
        " workbench.tracking.tracker, workbench.views.sync, workbench.views.rebuild;"
        "print([name for name in ('tensorflow', 'mlflow', 'tensorboard', 'pandas', 'sqlalchemy')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, cwd=root, env=os.environ, check=True
    )
    assert done.stdout.strip() == "[]"


SCHEMA = "import sys; from pathlib import Path; from workbench.tracking.mlflow_client import create_database;"


def test_processes_that_find_no_database_make_one_together(tmp_path, root):
    path = tmp_path / "mlruns" / "mlflow.db"
    words = [sys.executable, "-c", SCHEMA + "create_database(Path(sys.argv[1]))", str(path)]
    running = [
        subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=1200)[0] for process in running] == [b"", b""]
    assert [process.returncode for process in running] == [0, 0]
    assert [found.name for found in path.parent.glob("mlflow*")] == ["mlflow.db"]
    with connect(path) as connection:
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
