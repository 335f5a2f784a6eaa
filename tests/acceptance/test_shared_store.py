"""A shared store for real: PostgreSQL, `workbench server` with passwords, ten clients at once, an S3-like bucket.

Nothing is lost, nobody gets in without a password, no secret is on a command line or in a log, and analysis
reads the same frames from the database, through the server and from SQLite.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from database import PASSWORD, Postgres, postgres
from pandas.testing import assert_frame_equal
from served import free_port

from analysis.sources.mlflow_server import read_server
from analysis.sources.mlflow_sql import read_database, read_server_database
from workbench.tracking.store import find_store
from workbench.views.sync import sync

pytest.importorskip("psycopg2", reason="psycopg2 is not installed: pip install 'workbench[server]'")
pytest.importorskip("flask_wtf", reason="Flask-WTF is not installed: pip install 'workbench[server]'")

CLIENTS, EPOCHS, METRICS = 10, 20, 20
USER, USER_PASSWORD = "anna", "pass-phrase of anna"
CLIENT = """
import sys
from workbench.tracking.rows import CheckpointRecord; from workbench.tracking.rows import EpochRecord; from workbench.tracking.rows import StartRecord; from workbench.tracking.rows import new_run_name
from workbench.tracking.store import find_store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views

number, epochs = int(sys.argv[1]), int(sys.argv[2])
stages = ({"number": 1, "name": "soft", "epochs": epochs // 2}, {"number": 2, "name": "margin", "epochs": epochs // 2})
parameters = {"number": number, "rate": 5e-5, "stages.1.name": "soft", "stages.2.name": "margin", "quiet": True}
start = StartRecord(run=new_run_name(), id=f"{number:012x}", study="many", name=f"p{number}", seed=number,
                    parameters=parameters, stages=stages)
with Tracker.open(find_store(), start, texts={"spec.py": f"number = {number}"}, views=default_views(find_store())) as tracker:
    for epoch in range(1, epochs + 1):
        stage = 1 if epoch <= epochs // 2 else 2
        metrics = {f"m{k}": number + k / 100 + epoch / 1000 for k in range(20)}
        metrics.update(lfw=float("nan") if epoch == 3 else 0.9, loss=float("inf") if epoch == 4 else 1 / epoch)
        tracker.epoch(EpochRecord(stage=stage, stage_epoch=epoch - (stage - 1) * (epochs // 2), epoch=epoch, step=epoch,
                                  metrics=metrics, seconds=1.0))
        tracker.checkpoint(CheckpointRecord(epoch=epoch, file="x", digest="d"))
    tracker.end("finished")
    if not tracker.close(timeout=400):
        sys.exit(3)
"""


@dataclass
class Shared:
    """A running `workbench server`: its address, its project, its process and what it printed."""

    url: str
    project: Path
    process: subprocess.Popen[str]
    said: str
    database: Postgres

    @property
    def folder(self) -> Path:
        return self.project / "mlruns" / "server"

    def environment(self, user: str, password: str) -> dict[str, str]:
        who = {
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
            "WORKBENCH_STORE": self.url,
        }
        return {**os.environ, **who}


@contextlib.contextmanager
def serving(root: Path, project: Path, database: Postgres, *words: str, **variables: str) -> Iterator[Shared]:
    (project / "mlruns").mkdir(exist_ok=True)
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "workbench",
        "server",
        "--database",
        database.uri,
        "--port",
        str(port),
        *words,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PGPASSWORD": PASSWORD,
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
    process = subprocess.Popen(
        command, cwd=project, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    try:
        assert process.poll() is None, said
        yield Shared(f"http://127.0.0.1:{port}", project, process, said, database)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=1200)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Shared]:
    with postgres() as database, serving(root, tmp_path_factory.mktemp("server"), database) as found:
        words = [sys.executable, "-m", "workbench", "server", "--port", found.url.rpartition(":")[2]]
        done = subprocess.run(
            [*words, "--add-user", USER],
            cwd=found.project,
            env={**os.environ, "PYTHONPATH": str(root)},
            input=USER_PASSWORD + "\n",
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        yield found


@pytest.fixture(scope="module")
def logged(shared: Shared, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The project of ten clients that logged at once; its `mlruns/` holds their journals."""
    project = tmp_path_factory.mktemp("clients")
    (project / "mlruns").mkdir()
    environment = {**shared.environment(USER, USER_PASSWORD), "PYTHONPATH": str(root)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(number), str(EPOCHS)],
            cwd=project,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for number in range(CLIENTS)
    ]
    said = [process.communicate(timeout=1200)[0] for process in running]
    late = [process.returncode for process in running].count(3)
    assert {process.returncode for process in running} <= {0, 3}, said
    print(
        f"\n{CLIENTS - late} of {CLIENTS} clients were level at their end; the rest is left to `workbench sync`"
    )
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "sync"],
        cwd=project,
        env=environment,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert late == 0 or "Traceback" not in "".join(said)
    return project


def test_ten_clients_at_once_lose_nothing(shared: Shared, logged: Path) -> None:
    import psycopg2

    with (
        psycopg2.connect(shared.database.uri, password=PASSWORD) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'")
        assert cursor.fetchone() == (CLIENTS,)
        cursor.execute("SELECT count(*) FROM metrics WHERE key ~ '^m[0-9]+$'")
        assert cursor.fetchone() == (CLIENTS * EPOCHS * METRICS,)
        cursor.execute("SELECT count(*), count(DISTINCT (run_uuid, key, step)) FROM metrics")
        total, distinct = cursor.fetchone()
        assert total == distinct  # nothing twice
        cursor.execute("SELECT count(*) FROM experiments WHERE name = 'many'")
        assert cursor.fetchone() == (1,)
    texts = sorted(path.read_text() for path in (shared.project / "mlruns" / "artifacts").rglob("spec.py"))
    assert texts == sorted(f"number = {number}" for number in range(CLIENTS))


def test_the_same_frames_from_everywhere(
    shared: Shared, logged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = find_store(str(logged / "mlruns"))
    sync(local, print)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", USER_PASSWORD)
    expected = read_database(local.database)
    for found in (read_server_database(shared.database.uri), read_server(shared.url)):
        assert found.partial is None
        runs, wanted = (
            frame.drop(columns="origin").sort_values("run", ignore_index=True).sort_index(axis=1)
            for frame in (found.runs, expected.runs)
        )
        assert_frame_equal(runs, wanted, check_dtype=False, check_categorical=False)
        epochs, rows = (
            frame.drop(columns="file")
            .astype({"run": str, "metric": str, "stage_name": str, "kind": str})
            .sort_values(["run", "metric", "epoch"], ignore_index=True)
            for frame in (found.epochs, expected.epochs)
        )
        assert_frame_equal(epochs, rows, check_dtype=False, check_exact=True)
        assert np.isnan(rows["value"]).sum() == CLIENTS and np.isinf(rows["value"]).sum() == CLIENTS


def test_nobody_gets_in_without_a_password(shared: Shared, root: Path) -> None:
    project = shared.project
    for words in (["table"], ["sync"], ["run", str(root / "experiments" / "quickstart.py"), "--quick"]):
        for password in ("", "wrong password"):
            environment = {**shared.environment(USER, password), "PYTHONPATH": str(root)}
            done = subprocess.run(
                [sys.executable, "-m", "workbench", *words],
                cwd=project,
                env=environment,
                text=True,
                capture_output=True,
            )
            if words == ["sync"] and not done.returncode:
                continue  # it has no journal here, so it asks for nothing
            assert done.returncode == 2, (words, done.stdout, done.stderr)
            assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
            assert "user name or password" in done.stderr


def test_no_secret_is_on_a_command_line_or_in_a_log(shared: Shared, logged: Path) -> None:
    admin = (shared.folder / "admin-password").read_text().strip()
    secrets = [PASSWORD, USER_PASSWORD, admin, (shared.folder / "secret-key").read_text().strip()]
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                lines.append((entry / "cmdline").read_bytes().decode(errors="replace"))
    assert any("basic-auth" in line for line in lines)
    texts = {
        "command lines": "\n".join(lines),
        "screen": shared.said,
        "server.log": (shared.folder / "server.log").read_text(),
    }
    texts["settings"] = (shared.folder / "auth.ini").read_text()
    assert [(name, secret) for name, text in texts.items() for secret in secrets if secret in text] == []
    assert {
        path.name: oct(path.stat().st_mode & 0o777) for path in shared.folder.iterdir() if path.is_file()
    } == dict.fromkeys(("admin-password", "secret-key", "auth.ini", "server.log"), "0o600")


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as storing needs: objects are kept in a dict."""

    objects: dict[str, bytes] = {}
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(200 if self.path.strip("/") == "lab" or self.path in self.objects else 404)

    def do_PUT(self) -> None:
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.objects[self.path] = body
        self.answer(200)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"0"')
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing on the screen."""


def test_artifacts_go_to_an_s3_compatible_address(
    shared: Shared, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, root: Path
) -> None:
    pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'workbench[s3]'")
    bucket = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=bucket.serve_forever, daemon=True).start()
    variables = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{bucket.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    (tmp_path / "mlruns").mkdir()
    admin = (shared.folder / "admin-password").read_text().strip()  # the users are those of the database
    project = tmp_path_factory.mktemp("s3")
    code = CLIENT.replace('study="many"', 'study="bucket"')
    with serving(root, project, shared.database, "--artifacts", "s3://lab/runs", **variables) as other:
        environment = {**other.environment("admin", admin), "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", code, "77", "2"],
            cwd=tmp_path,
            env=environment,
            text=True,
            capture_output=True,
        )
    bucket.shutdown()
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    stored = [
        name
        for name, body in Bucket.objects.items()
        if name.startswith("/lab/runs/") and b"number = 77" in body
    ]
    assert len(stored) == 1 and stored[0].endswith("spec.py")
