"""A Ray cluster of two nodes on this machine, one of which is killed in mid-run: the run ends with equal bits.

Each node offers one processor, so two runs work at once, one on each. The second node is killed with all its
processes by SIGKILL while its run is between epochs; the run goes on at the first node from its checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ray_nodes import QUIET, ray_cluster
from running import launch, write_project

from workbench.jobs.progress import log_of
from workbench.tracking.runs import read_states
from workbench.tracking.store import find_store
from workbench.train import checkpoint_file

pytest.importorskip("ray", reason="Ray is not installed: pip install 'workbench[ray]'")

SPEC = '''"""Does a lost node matter?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
from workbench import ArcFace, Safety, Softmax, Stage
base = tiny(stages=(Stage(loss=Softmax(), epochs=4), Stage(loss=ArcFace(scale=16), epochs=8)), safety=Safety(every_steps=2))
experiments = [base, base.but(label_smoothing=0.1, name="smooth")]
'''


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of the cluster and the id of its second node."""
    with ray_cluster(tmp_path_factory.mktemp("ray")) as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"), SPEC)


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workbench", "run", "experiments/study.py", *words]
    return launch(command, folder, apart=True, fresh=True, **QUIET)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants(pid: int) -> list[int]:
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                below.setdefault(parent_of(int(entry.name)), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += below.get(one, [])
    return found


def raylet_of(second: str) -> int:
    """Return the process of the second node's raylet, from its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if words.split(b"\0")[0].endswith(b"raylet") and second.encode() in words:
                    return int(entry.name)
    raise AssertionError("no raylet of the second node")


def differences(folder: Path, run: str, other: str) -> list[str]:
    """Return in words every value and every array of the last state in which two runs differ."""
    rows, arrays = final(folder, run)
    expected_rows, expected = final(folder, other)
    found = [f"{len(rows)} epochs, not {len(expected_rows)}"] if len(rows) != len(expected_rows) else []
    for row, wanted in zip(rows, expected_rows):
        names = {name for name in row[-1] if row[-1][name] != wanted[-1].get(name)}
        found += [
            f"epoch {row[0]}: {name} {row[-1][name]!r}, not {wanted[-1].get(name)!r}"
            for name in sorted(names)
        ]
        found += [f"epoch {row[0]}: {row[:-1]}, not {wanted[:-1]}"] if row[:-1] != wanted[:-1] else []
    return found + [f"array {name}" for name in expected if not np.array_equal(arrays[name], expected[name])]


def final(folder: Path, run: str) -> tuple[list, dict[str, np.ndarray]]:
    store = find_store(str(folder / "mlruns"))
    (found,) = [state.journal for state in read_states(store) if state.run == run]
    rows = [(r.epoch, r.stage, r.stage_epoch, r.step, dict(r.metrics)) for r in found.accepted()]
    return rows, dict(checkpoint_file.newest(store.run_checkpoints(run)).arrays)


@pytest.mark.timeout(1200)
def test_a_killed_node_costs_its_run_nothing(cluster: tuple[str, str], place: Path) -> None:
    address, second = cluster
    whole = start(place, "--ray", address, "--json")
    out, said = whole.communicate(timeout=1200)
    assert whole.returncode == 0, said
    undisturbed = {line["name"]: line["run"] for line in map(json.loads, out.splitlines())}
    assert set(undisturbed) == {"base", "smooth"}

    store = find_store(str(place / "mlruns"))
    again = start(place, "--ray", address, "--json")
    raylet = raylet_of(second)
    victim, deadline = "", time.monotonic() + 1200
    while not victim:
        assert time.monotonic() < deadline and again.poll() is None
        processes = set(descendants(raylet))
        for state in read_states(store):
            if state.run in undisturbed.values() or not state.journal.accepted():
                continue
            if state.journal.start.process in processes:
                victim = state.run
    epochs = next(len(s.journal.accepted()) for s in read_states(store) if s.run == victim)
    doomed = descendants(raylet)[::-1]
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    out, said = again.communicate(timeout=1200)
    print(f"\n{len(doomed)} processes of the node killed after epoch {epochs} of 12\n{said}")
    assert again.returncode == 0, said
    assert "it goes on elsewhere from its checkpoint" in said
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["status"] for line in lines] == ["finished", "finished"]
    attempts = {state.run: state.journal.attempt for state in read_states(store)}
    assert epochs < 12 and attempts[victim] == 2
    assert (
        log_of(store, victim).read_text().count("\non ") + log_of(store, victim).read_text().startswith("on ")
        == 2
    )
    others = {
        line["name"]: differences(place, line["run"], undisturbed[line["name"]]) for line in lines
    }  # of both, so that a failure tells whether the run that lost its node is the one that differs
    assert others == {"base": [], "smooth": []}, f"the node of {victim} was killed"


@pytest.mark.timeout(600)
def test_ctrl_c_stops_runs_on_the_cluster_and_resume_takes_them_up(
    cluster: tuple[str, str], place: Path
) -> None:
    """What works finishes its epoch, what waits does not begin; both are resumed on the cluster."""
    store, known = find_store(str(place / "mlruns")), set(find_store(str(place / "mlruns")).runs())
    words = ["--ray", cluster[0], "--seed", "5", "--set", "stages.2.epochs=30"]
    process = start(place, *words)
    deadline = time.monotonic() + 1200
    while not any(s.journal.accepted() for s in read_states(store) if s.run not in known):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=1200)
    assert process.returncode == 130, said
    begun = [s for s in read_states(store) if s.run not in known]
    ends = {s.status for s in begun}
    assert "stopped" in ends and ends <= {"stopped", "interrupted"}  # resumable, all of them
    again = start(place, *words, "--resume", "--json")
    out, said = again.communicate(timeout=1200)
    assert again.returncode == 0, said
    assert all(s.run in out for s in begun)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["finished", "finished"]


@pytest.mark.timeout(300)
def test_what_the_cluster_cannot_do_is_said_before_anything_starts(
    cluster: tuple[str, str], place: Path
) -> None:
    store = find_store(str(place / "mlruns"))
    before = store.runs()
    process = start(place, "--ray", cluster[0], "--set", "devices=Mirrored(count=3, kind='cpu')")
    _, said = process.communicate(timeout=1200)
    if "no part" not in said and "Mirrored" in said:
        assert "no node has 3 CPU" in said
    assert process.returncode == 2
    assert said.count("\n") == 1 and said.startswith("error: ")
    assert store.runs() == before
