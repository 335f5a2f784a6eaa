"""Ray without a cluster: addresses that do not answer, what a spec needs, what makes a node unfit, tasks."""

from __future__ import annotations

import fcntl
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from specs import tiny

from workbench.cli import main
from workbench.errors import InputError
from workbench.jobs import ray_worker
from workbench.jobs.ray_cluster import Needs, needs, require_answer
from workbench.jobs.ray_worker import RayResult, RayTask, probe, train, versions


def test_an_address_that_does_not_answer_is_refused_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    began = time.monotonic()
    for address, said in (
        (f"127.0.0.1:{port}", "no Ray cluster answers: Connection refused"),
        ("127.0.0.1", "is not an address"),
        ("ray://127.0.0.1:10001", "is not an address"),
        ("nowhere.invalid:6379", "no Ray cluster answers"),
    ):
        with pytest.raises(InputError) as error:
            require_answer(address)
        assert said in str(error.value) and "\n" not in str(error.value)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None], ids=["http", "closed", "silent"]
)
def test_what_is_no_cluster_is_told_apart(monkeypatch, answer: bytes | None) -> None:
    monkeypatch.setattr("workbench.jobs.ray_cluster.CONNECT_SECONDS", 0.3)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        if answer is None:
            time.sleep(1)
        else:
            connection.sendall(answer)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with pytest.raises(InputError, match="not a Ray cluster|no Ray cluster answers: timed out"):
            require_answer(f"127.0.0.1:{listener.getsockname()[1]}")


def test_the_command_refuses_a_missing_ray_and_two_ways_of_placing(
    project: Path, root: Path, capsys, monkeypatch
) -> None:
    spec = project / "experiments" / "study.py"
    spec.write_text(
        f"import sys\nsys.path.insert(0, {str(root / 'tests' / 'workbench')!r})\nfrom specs import tiny\nexperiment = tiny()\n"
    )
    assert main(["run", str(spec), "--ray", "h:1", "--devices", "0"]) == 2
    assert "both --ray and --devices" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["run", str(spec), "--ray", "127.0.0.1:1"]) == 2
    assert "Ray is not installed; pip install 'workbench[ray]'" in capsys.readouterr().err
    assert not list((project / "mlruns").rglob("*.jsonl"))


def test_a_run_takes_a_gpu_where_there_is_one_and_a_processor_elsewhere() -> None:
    assert needs(tiny(), has_gpus=True) == Needs(1, 1)
    assert needs(tiny(), has_gpus=False) == Needs(1, 0)
    assert Needs(1, 1).fit({"CPU": 8.0, "GPU": 1.0}) and not Needs(1, 1).fit({"CPU": 8.0})


def locked_token(folder: Path):
    token = folder / ".nodes-1"
    file = token.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return str(token), file


def test_a_node_is_fit_or_says_why_not(tmp_path: Path, capsys) -> None:
    (tmp_path / "spec.py").touch()
    token, file = locked_token(tmp_path)
    assert probe(token, str(tmp_path), ["spec.py"], versions(), None) == []
    assert "does not see the file other.py" in probe(token, str(tmp_path), ["other.py"], versions(), None)[0]
    (wrong,) = probe(token, str(tmp_path), [], {**versions(), "tensorflow": "2.14.0"}, None)
    assert f"it has tensorflow {versions()['tensorflow']}" in wrong and "this machine 2.14.0" in wrong
    (away,) = probe(token, str(tmp_path), [], versions(), "http://127.0.0.1:1")
    assert "cannot be reached" in away
    assert (
        "must be in a folder that all nodes share"
        in probe(f"{token}x", str(tmp_path), [], versions(), None)[0]
    )
    file.close()  # as where a shared folder has no locks: the driver's is not seen
    assert "locks do not reach it" in probe(token, str(tmp_path), [], versions(), None)[0]
    assert (
        capsys.readouterr().err.count("error: workbench: this node cannot take part") == 5
    )  # in the node's log


def ray_task(folder: Path, code: str, **changes) -> RayTask:
    settings = {
        "words": ("-c", code),
        "folder": str(folder),
        "journal": str(folder / "run.jsonl"),
        "cpus": 1,
        "gpus": 0,
    }
    return RayTask(**{**settings, "log": str(folder / "out.log"), "stop": str(folder / "stop"), **changes})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", RayResult(0)),
        ("raise SystemExit(1)", RayResult(1)),
        ("raise SystemExit(75)", RayResult(75, lost=True)),  # nobody asked: the machine wants to be rid of it
        ("import os; os.kill(os.getpid(), 9)", RayResult(1, lost=True)),
    ],
)
def test_a_task_says_whether_its_end_was_wanted(tmp_path: Path, code: str, expected: RayResult) -> None:
    assert train(ray_task(tmp_path, code)) == expected
    assert (tmp_path / "out.log").read_text().startswith("on ")


def test_a_task_is_stopped_through_the_shared_folder(tmp_path: Path) -> None:
    code = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(75))\nprint('ready', flush=True)\ntime.sleep(1200)"
    found: list[RayResult] = []
    worker = threading.Thread(target=lambda: found.append(train(ray_task(tmp_path, code))))
    worker.start()
    while "ready" not in ((tmp_path / "out.log").read_text() if (tmp_path / "out.log").exists() else ""):
        time.sleep(0.05)
    (tmp_path / "stop").write_text("15")
    worker.join(1200)
    assert found == [RayResult(75)]
    assert train(ray_task(tmp_path, "raise SystemExit(9)")) == RayResult(
        75
    )  # one that begins later does not begin


def test_a_task_waits_for_the_process_that_a_lost_node_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ray_worker, "POLL_SECONDS", 0.02)
    journal = (tmp_path / "run.jsonl").open("w")
    fcntl.flock(journal, fcntl.LOCK_EX)
    threading.Timer(0.5, journal.close).start()
    began = time.monotonic()
    assert train(ray_task(tmp_path, "pass")) == RayResult(0)
    assert time.monotonic() - began > 0.45


def test_a_task_keeps_to_its_processors(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KNOWN", "here")
    code = "import os; print(*(os.environ[n] for n in ('TF_NUM_INTRAOP_THREADS', 'CUDA_VISIBLE_DEVICES', 'KNOWN', 'NEW')))"
    train(ray_task(tmp_path, code, cpus=3, variables={"KNOWN": "there", "NEW": "x"}))
    assert (tmp_path / "out.log").read_text().splitlines()[-1] == "3 -1 here x"
