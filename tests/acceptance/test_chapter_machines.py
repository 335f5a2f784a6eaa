"""The README's chapter "From one device to a cluster", its part for several machines, word for word.

The addresses of the chapter stand for a cluster's; here they are loopback's.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from database import PASSWORD, postgres
from machines_chapter import begun, chapter_project, commands, done
from ray_nodes import QUIET, ray_cluster
from running import free_ports

from workbench.tracking.runs import read_states
from workbench.tracking.store import find_store

pytestmark = pytest.mark.tensorflow


def needs(*modules: str) -> None:
    """Skip, with the reason, where one of the optional packages is missing."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def statuses(folder: Path) -> list[str]:
    return [state.status for state in read_states(find_store(str(folder / "mlruns")))]


def test_two_machines_by_the_same_line(tmp_path: Path) -> None:
    words, folder = commands()[4], chapter_project(tmp_path)
    assert words.count("workbench") == 1
    for number, port in zip((1, 2), free_ports(2)):
        words = [word.replace(f"10.0.0.{number}:2222", f"127.0.0.1:{port}") for word in words]
    pair = [begun(folder, words, WORKBENCH_WORKER=str(k)) for k in (0, 1)]
    said = [process.communicate(timeout=1200)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    assert statuses(folder) == ["finished"]


def test_horovod(tmp_path: Path) -> None:
    needs("horovod")
    words, folder = commands()[5], chapter_project(tmp_path)
    assert words[0] == "horovodrun"
    assert "2 devices, batches of 16 = 2 x 8" in done(folder, words)
    assert statuses(folder) == ["finished"]


def test_a_ray_cluster(tmp_path: Path) -> None:
    needs("ray")
    words, folder = commands()[6], chapter_project(tmp_path / "project")
    with ray_cluster(tmp_path) as (address, _):
        said = done(folder, [word.replace("10.0.0.1:6379", address) for word in words], **QUIET)
    assert said.count("done in") == 4
    assert statuses(folder) == ["finished"] * 4


def test_a_server_on_postgresql(tmp_path: Path) -> None:
    needs("psycopg2", "flask_wtf")
    server, run, listing = commands()[7:]
    folder, (port,) = chapter_project(tmp_path), free_ports(1)
    with postgres() as database:
        words = [word.replace("postgresql://workbench@127.0.0.1/runs", database.uri) for word in server]
        serving = begun(folder, [*words, "--port", str(port)], PGPASSWORD=PASSWORD, PYTHONUNBUFFERED="1")
        try:
            lines = []
            assert serving.stdout is not None
            while not (lines and lines[-1].startswith("Ctrl-C")):
                lines.append(serving.stdout.readline())
                assert lines[-1], f"it ended: {''.join(lines)}"
            secret = (folder / "mlruns" / "server" / "admin-password").read_text().strip()
            user = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": secret}
            done(folder, [word.replace("127.0.0.1:5000", f"127.0.0.1:{port}") for word in run], **user)
            said = done(folder, listing, WORKBENCH_STORE=f"http://127.0.0.1:{port}", **user)
        finally:
            serving.send_signal(2)
            serving.communicate(timeout=1200)
    assert said.count("finished") == 2
    assert statuses(folder) == ["finished"] * 2
