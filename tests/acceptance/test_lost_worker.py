"""Two worker processes on loopback: one is killed, or something is wrong before the first step."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from fleet import Fleet, ended, wait_for_steps

from workbench.tracking.journal import read_journal
from workbench.tracking.store import find_store
from workbench.train import checkpoint_file

pytestmark = pytest.mark.tensorflow


def runs(folder: Path) -> list[str]:
    return find_store(str(folder / "mlruns")).runs()


def test_a_lost_worker_stops_the_others_which_can_be_resumed_to_equal_bits(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, epochs=12)
    whole = ended(*fleet.workers("run", "experiments/fleet.py", "long", losses="whole"))
    assert [status for status, _ in whole] == [0, 0], whole
    chief, other = fleet.workers("run", "experiments/fleet.py", "long")
    wait_for_steps(fleet, "worker1", 20)
    os.kill(other.pid, signal.SIGKILL)
    began = time.monotonic()
    [(status, text), (killed, _)] = ended(chief, other)
    assert (status, killed) == (75, -signal.SIGKILL), text
    assert "is gone or stopped answering" in text
    assert "Traceback" not in text
    assert time.monotonic() - began < 90
    first, run = runs(tmp_path)
    assert read_journal(tmp_path / "mlruns" / "journal" / f"{run}.jsonl").end.status == "stopped"
    again = ended(*fleet.workers("run", "experiments/fleet.py", "long", "--resume"))
    assert [status for status, _ in again] == [0, 0], again
    assert "resumed after epoch" in again[1][1]
    assert runs(tmp_path) == [first, run]
    states = [checkpoint_file.newest(tmp_path / "mlruns" / "checkpoints" / name) for name in (first, run)]
    mine, theirs = (dict(state.arrays) for state in states)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not np.array_equal(mine[name], theirs[name])] == []


def test_a_killed_chief_leaves_a_run_that_all_go_on_with(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, epochs=12)
    chief, other = fleet.workers("run", "experiments/fleet.py", "long")
    wait_for_steps(fleet, "worker0", 20)
    os.kill(chief.pid, signal.SIGKILL)
    [_, (status, text)] = ended(chief, other)
    assert status == 75, text
    (run,) = runs(tmp_path)
    assert read_journal(tmp_path / "mlruns" / "journal" / f"{run}.jsonl").end is None
    again = ended(*fleet.workers("resume", run))
    assert [status for status, _ in again] == [0, 0], again
    assert runs(tmp_path) == [run]
    assert len(read_journal(tmp_path / "mlruns" / "journal" / f"{run}.jsonl").accepted()) == 12


@pytest.mark.parametrize(
    "name, words",
    [
        ("odd", "a batch of 15 does not divide among 2 devices"),
        ("gpu", "TensorFlow sees no GPU on this machine"),
    ],
)
def test_what_is_wrong_is_said_by_both_workers_before_anything_is_written(
    tmp_path: Path, name: str, words: str
) -> None:
    fleet = Fleet(tmp_path)
    results = ended(*fleet.workers("run", "experiments/fleet.py", name))
    for status, text in results:
        assert status == 2, text
        assert words in text
        assert "Traceback" not in text
    assert runs(tmp_path) == []


def test_a_port_in_use_is_said_by_both_workers(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    with socket.socket() as door:
        door.bind(("127.0.0.1", int(fleet.hosts[1].rpartition(":")[2])))
        door.listen()
        results = ended(*fleet.workers("run", "experiments/fleet.py", "net"))
    for status, text in results:
        assert status == 2, text
        assert "cannot listen there: Address already in use" in text


@pytest.mark.parametrize("place", [0, 1])
def test_ctrl_c_at_any_worker_ends_all_after_the_epoch(tmp_path: Path, place: int) -> None:
    fleet = Fleet(tmp_path, epochs=40)
    pair = fleet.workers("run", "experiments/fleet.py", "long")
    wait_for_steps(fleet, f"worker{place}", 8)
    pair[place].send_signal(signal.SIGINT)
    results = ended(*pair)
    assert [status for status, _ in results] == [130, 130], results
    (run,) = runs(tmp_path)
    found = read_journal(tmp_path / "mlruns" / "journal" / f"{run}.jsonl")
    assert found.end is not None
    assert found.end.status == "stopped"
    steps = len(fleet.losses("worker0"))
    assert steps == len(fleet.losses("worker1")) == 6 * len(found.accepted())  # whole epochs
    assert 0 < steps < 240
