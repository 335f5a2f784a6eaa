"""A server that stops, restarts or hangs, a read-only store and a full disk: training does not wait.

Prints, for each phase, what the training thread waited for an epoch's record beside a bare write with
fsync of the same line, taken in turn.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from served import Proxy, Server

from workbench.errors import StoreError
from workbench.tracking.journal import encode_line, read_journal, status
from workbench.tracking.mlflow_client import create_database, open_client
from workbench.tracking.rows import CheckpointRecord, EpochRecord, StartRecord, new_run_name
from workbench.tracking.runs import find_run
from workbench.tracking.store import Store, find_store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
from workbench.views.sync import sync

METRICS = 20
PAUSE = 0.15  # seconds of "training" in an epoch
# A store that hangs or refuses makes its caller wait for seconds; the machine's own jitter does not.
MUCH = 0.5


def epoch(number: int) -> EpochRecord:
    metrics = {f"m{place}": number + place / 100 for place in range(METRICS)}
    return EpochRecord(stage=1, stage_epoch=number, epoch=number, step=number, metrics=metrics, seconds=PAUSE)


class Training:
    """A run of short epochs that times what it waits for, phase by phase."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.said: list[str] = []
        self.run = new_run_name()
        self.number = 0
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.bare: dict[str, list[float]] = defaultdict(list)
        self._bare = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.tracker = Tracker.open(
            store, StartRecord(run=self.run, study="served"), say=self.said.append, views=default_views(store)
        )

    def epochs(self, phase: str, count: int) -> None:
        for _ in range(count):
            time.sleep(PAUSE)
            self.number += 1
            row = epoch(self.number)
            line = encode_line(row)
            began = time.perf_counter()
            os.write(self._bare, line)
            os.fsync(self._bare)
            self.bare[phase].append(time.perf_counter() - began)
            began = time.perf_counter()
            self.tracker.epoch(row)
            self.waits[phase].append(time.perf_counter() - began)
            self.tracker.checkpoint(CheckpointRecord(epoch=self.number, file="x", digest="d"))

    def end(self, timeout: float) -> bool:
        self.tracker.end("finished")
        return self.tracker.close(timeout)

    def report(self) -> None:
        print("\n| phase | epochs | wait (median, ms) | bare fsync (median, ms) | longest wait (ms) |")
        print("| --- | --- | --- | --- | --- |")
        for phase, waits in self.waits.items():
            ours, bare = (1000 * statistics.median(values) for values in (waits, self.bare[phase]))
            print(f"| {phase} | {len(waits)} | {ours:.2f} | {bare:.2f} | {1000 * max(waits):.2f} |")
        for line in self.said:
            print("said:", line)
        assert max(max(waits) for waits in self.waits.values()) < MUCH


def assert_nothing_lost(store: Store, run: str, epochs: int) -> None:
    client = open_client(store)
    study = client.get_experiment_by_name("served")
    (found,) = client.search_runs([study.experiment_id], f"tags.`workbench.run` = '{run}'")
    assert find_run(store, found.info.run_id) == run
    assert found.data.tags["workbench.status"] == "finished"
    for place in range(METRICS):
        points = client.get_metric_history(found.info.run_id, f"m{place}")
        assert sorted((point.step, point.value) for point in points) == [
            (number, number + place / 100) for number in range(1, epochs + 1)
        ]


@pytest.fixture
def served(tmp_path):
    server = Server(tmp_path / "server")
    server.start()
    proxy = Proxy(server.port)
    yield server, proxy, Store(tmp_path / "mlruns", f"http://127.0.0.1:{proxy.port}")
    proxy.close()
    server.kill()


def test_a_server_stopped_restarted_and_hung(served, tmp_path):
    server, proxy, store = served
    training = Training(store, tmp_path)
    training.epochs("server answers", 60)
    with proxy.stalled():
        training.epochs("server hangs", 100)
    training.epochs("server answers again", 60)
    server.kill()
    training.epochs("server stopped", 60)
    server.start()
    training.epochs("server restarted", 60)
    level = training.end(timeout=60)
    training.report()
    print("level at the end:", level)
    assert len(training.said) <= 4  # each outage once, each end of one once
    done = sync(store, print)
    assert not done.failed
    assert_nothing_lost(store, training.run, training.number)
    again = sync(store, print)
    assert (again.changed, again.unchanged) == ([], [training.run])


def test_a_server_that_hangs_from_start_to_end(served, tmp_path):
    _server, proxy, store = served
    with proxy.stalled():
        began = time.monotonic()
        training = Training(store, tmp_path)
        opened = time.monotonic() - began
        training.epochs("server hangs", 60)
        began = time.monotonic()
        assert training.end(timeout=3) is False
        closed = time.monotonic() - began
        print(f"\nopening took {opened:.3f} s, closing {closed:.2f} s of at most 3 s")
        assert opened < 2
        assert closed < 5
        assert status(store.journal(training.run)) == "finished"
        began = time.monotonic()
        with pytest.raises(StoreError, match="try again"):
            sync(store, print)
        print(f"sync gave up after {time.monotonic() - began:.1f} s")
    training.report()
    deadline = time.monotonic() + 1200
    while (done := sync(store, print)).in_use and time.monotonic() < deadline:
        time.sleep(1)  # the thread of the run is still about its last try
    assert not done.failed
    assert_nothing_lost(store, training.run, training.number)


EXIT = """
import sys, time
from pathlib import Path
from workbench.tracking.rows import CheckpointRecord, EpochRecord, StartRecord, new_run_name
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
tracker = Tracker.open(Store(Path(sys.argv[1]), sys.argv[2]), StartRecord(run=new_run_name()), texts={"spec.py": "1"}, views=default_views(Store(Path(sys.argv[1]), sys.argv[2])))
tracker.epoch(EpochRecord(stage=1, stage_epoch=1, epoch=1, step=1, metrics={"loss": 1.0}, seconds=1.0))
tracker.checkpoint(CheckpointRecord(epoch=1, file="x", digest="d"))
time.sleep(float(sys.argv[3]))
tracker.end("finished")
print(time.time(), flush=True)
tracker.close(timeout=2)
"""


@pytest.mark.parametrize("before", [0.0, 8.0], ids=["while MLflow is imported", "while a request hangs"])
def test_a_process_ends_although_the_server_hangs(served, root, before):
    _server, proxy, store = served
    words = [sys.executable, "-c", EXIT, str(store.root), store.uri, str(before)]
    with proxy.stalled():
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=1200)
        seconds = time.time() - float(done.stdout)
    print(f"\nthe process ended {seconds:.1f} s after the run, of which 2 s are the time given to the views")
    assert done.returncode == 0
    assert "workbench sync" in done.stderr
    assert "Traceback" not in done.stderr
    assert seconds < 30


def test_a_server_that_is_not_there_at_all(tmp_path):
    store = Store(tmp_path / "mlruns", "http://127.0.0.1:9")
    training = Training(store, tmp_path)
    training.epochs("no server", 20)
    assert training.end(timeout=60) is False
    training.report()
    assert sum("cannot be written" in line for line in training.said) == 1
    local = find_store(str(tmp_path / "mlruns"))
    assert sync(local, print).changed == [training.run]
    assert_nothing_lost(local, training.run, training.number)


def set_writable(database: Path, writable: bool) -> None:
    """Tell SQLite by the file's header that it may not be written (this holds for root too)."""
    with database.open("r+b") as file:
        file.seek(18)
        file.write(b"\x01" if writable else b"\x7f")


def test_a_store_made_read_only(tmp_path):
    store = find_store(str(tmp_path / "mlruns"))
    create_database(store.database)
    training = Training(store, tmp_path)
    training.epochs("store can be written", 60)
    set_writable(store.database, False)
    training.epochs("store read-only", 60)
    assert training.end(timeout=60) is False
    training.report()
    assert any("readonly" in line for line in training.said)
    set_writable(store.database, True)
    assert sync(store, print).changed == [training.run]
    assert_nothing_lost(store, training.run, training.number)


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(small_disk, tmp_path):
    store = find_store(str(small_disk / "mlruns"))
    create_database(store.database)
    training = Training(store, tmp_path)
    training.epochs("space left", 30)
    filler = small_disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass
    except OSError:
        pass
    with pytest.raises(StoreError, match="No space left"):
        training.epochs("disk full", 1000)
    with pytest.raises(OSError, match="No space left"):
        training.tracker.artifact("big", text="x" * 100_000)
    training.tracker.end("failed", "no space left on the disk")
    training.tracker.close(timeout=60)
    training.report()
    found = read_journal(store.journal(training.run))
    assert status(found.path) == "failed"
    assert found.end.reason == "no space left on the disk"
    assert found.damage == []
    last = found.accepted()[-1].epoch  # the refused row was this epoch's checkpoint or the next epoch
    assert last in (training.number - 1, training.number)
    assert [row.epoch for row in found.accepted()] == list(range(1, last + 1))
    filler.unlink()
    again = StartRecord(run=training.run, study="served", from_epoch=found.checkpoint().epoch + 1)
    with Tracker.open(store, again, views=default_views(store)) as tracker:
        for number in range(again.from_epoch, last + 4):
            tracker.epoch(epoch(number))
            tracker.checkpoint(CheckpointRecord(epoch=number, file="x", digest="d"))
        tracker.end("finished")
        assert tracker.close(timeout=60)
    assert_nothing_lost(store, training.run, last + 3)
