"""`workbench server` without a server: what is refused, in one line; where secrets are kept; who we are."""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.errors import StoreError
from workbench.tracking import credentials, postgres
from workbench.tracking.ping import require_reachable
from workbench.tracking.server import ServerPlan, kept_secret, without_password
from workbench.tracking.store import Store


def plan(folder: Path, **changes) -> ServerPlan:
    settings = {
        "database": "sqlite:////x/mlflow.db",
        "artifacts": "file:///x",
        "host": "127.0.0.1",
        "port": 5000,
    }
    return ServerPlan(**{**settings, "folder": folder, **changes})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--database", "postgresql://u:hidden@h/n"], "holds a password, which everybody"),
        (["--database", "mysql://h/n"], "is not a database that is known here"),
        (["--database", "postgresql://u@127.0.0.1:1/n"], "the database cannot be opened: Connection refused"),
        (["--host", "0.0.0.0", "--no-auth"], "without authentication would let everybody in"),
        (["--host", "192.0.2.77", "--no-auth"], "without authentication would let everybody in"),
        (["--port", "0"], "Invalid value for '--port'"),
        (["--port", "{used}"], "port {used} is in use"),
        (["--artifacts", "gs://b"], "is not a place of artifacts"),
        (["--artifacts", "file"], "artifacts cannot be written there"),
        (["--artifacts", "s3://b"], "the bucket cannot be used"),
        (["--add-user", "anna", "--port", "{free}"], "no server answers"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    if "s3" in words[-1]:
        pytest.importorskip("boto3")
    if any(word.startswith("postgresql") for word in words):
        pytest.importorskip("psycopg2")
    pytest.importorskip("flask_wtf")
    (project / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(sys, "stdin", (project / "file").open())
    with socket.create_server(("127.0.0.1", 0)) as used, socket.create_server(("127.0.0.1", 0)) as free:
        numbers = {"used": used.getsockname()[1], "free": free.getsockname()[1]}
        free.close()
        assert main(["server", *(word.format(**numbers) for word in words)]) == 2
    result = capsys.readouterr().err
    assert said.format(**numbers) in result
    assert result.startswith("error: ") and result.count("\n") == 1
    assert "hidden" not in result


@pytest.mark.parametrize(
    ("module", "changes", "said"),
    [
        ("psycopg2", {"database": "postgresql://u@h/n"}, "the driver psycopg2 is missing; pip install"),
        ("boto3", {"artifacts": "s3://b"}, "boto3 is missing; pip install 'workbench[s3]'"),
    ],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch, module: str, changes: dict, said: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StoreError, match=said.replace("[", r"\[").replace("]", r"\]")):
        plan(tmp_path, authenticated=False, **changes).check()


def test_authentication_names_the_package_that_it_needs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Exception, match="needs Flask-WTF"):
        plan(tmp_path).check()


def test_secrets_go_by_environment_and_private_files_only(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_AUTH_ADMIN_PASSWORD", raising=False)
    made = plan(tmp_path, database="postgresql://u:p%40ss@h:5/n")
    result = made.environment()
    assert result["PGPASSWORD"] == "p@ss"
    assert result["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg2://u@h:5/n"
    assert len(result["MLFLOW_AUTH_ADMIN_PASSWORD"]) > 20
    assert "basic-auth" in made.command() and "p@ss" not in " ".join(made.command())
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert "p@ss" not in path.read_text() and "p%40ss" not in path.read_text()
    again = plan(tmp_path).environment()
    assert again["MLFLOW_AUTH_ADMIN_PASSWORD"] == result["MLFLOW_AUTH_ADMIN_PASSWORD"]  # kept, not made anew
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", "of my own")
    assert made.environment()["MLFLOW_AUTH_ADMIN_PASSWORD"] == "of my own"
    assert "--app-name" not in plan(tmp_path, authenticated=False).command()


def test_secrets_differ_and_open_files_are_closed_again(tmp_path: Path) -> None:
    assert kept_secret(tmp_path / "a") != kept_secret(tmp_path / "b")
    (tmp_path / "c").touch(mode=0o644)
    kept_secret(tmp_path / "c")
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


def test_addresses_without_their_password() -> None:
    assert without_password("postgresql://a:b%2Fc@h:1/n?x=1") == ("postgresql://a@h:1/n?x=1", "b/c")
    assert without_password("sqlite:////x") == ("sqlite:////x", None)
    assert postgres.shown("postgresql://a:secret@h/n") == "postgresql://a:***@h/n"
    assert postgres.plain("postgresql+psycopg2://h/n") == "postgresql://h/n"
    assert postgres.with_driver("postgresql://h/n") == "postgresql+psycopg2://h/n"
    assert postgres.with_driver("http://h") == "http://h"


def test_who_we_are(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in credentials.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert credentials.credentials() is None
    (tmp_path / ".mlflow").mkdir()
    file = tmp_path / ".mlflow" / "credentials"
    file.write_text("[mlflow]\nmlflow_tracking_username = anna\nmlflow_tracking_password = 100%\n")
    assert credentials.credentials() == ("anna", "100%")
    monkeypatch.setenv(credentials.VARIABLES[0], "bob")
    monkeypatch.setenv(credentials.VARIABLES[1], "b")
    assert credentials.credentials() == ("bob", "b")
    file.write_text("nonsense")
    monkeypatch.delenv(credentials.VARIABLES[0])
    assert credentials.credentials() is None


class Door(BaseHTTPRequestHandler):
    """Answers every request with one status; knows the user anna."""

    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        known = self.headers.get("Authorization", "").startswith("Basic YW5uYTp")  # anna:
        self.send_response(self.status if known else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_the_store_is_asked_once_before_a_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    store = Store(tmp_path, f"http://127.0.0.1:{door.server_port}")
    with pytest.raises(StoreError, match="refuses this user name or password"):
        require_reachable(store)
    monkeypatch.setenv(credentials.VARIABLES[0], "anna")
    monkeypatch.setenv(credentials.VARIABLES[1], "x")
    require_reachable(store)
    monkeypatch.setattr(Door, "status", 404)
    with pytest.raises(StoreError, match="answers 404"):
        require_reachable(store)
    door.shutdown()
    door.server_close()
    with pytest.raises(StoreError, match="cannot be reached: no answer"):
        require_reachable(store)
    require_reachable(Store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db"))


HERE, ELSEWHERE = "mlflow-artifacts:/7", "file:///etc"


@pytest.mark.parametrize("path", ["/api/2.0", "/ajax-api/2.0", "/prefix/api/2.0"])
@pytest.mark.parametrize(
    ("body", "right"),
    [
        ({"name": "a"}, True),
        ({"name": "a", "artifact_location": ""}, True),
        ({"name": "a", "artifact_location": HERE}, True),
        ({"name": "a", "artifact_location": ELSEWHERE}, False),
        ({"name": "a", "artifactLocation": ELSEWHERE}, False),
        ({"name": "a", "artifact_location": HERE, "artifactLocation": ELSEWHERE}, False),
        ({"name": "a", "artifact_location": "/etc"}, False),
        ({"name": "a", "artifact_location": "s3://bucket/of/others"}, False),
        ({"name": "a", "artifact_location": "FILE:///etc"}, False),
        ({"name": "a", "artifact_location": f"{HERE}/../../etc"}, False),
        ({"name": "a", "artifact_location": [ELSEWHERE]}, False),
        ({"name": "a", "artifact_location": f"{HERE}/%252e%252e/etc"}, False),
        ({"name": "a", "artifact_location": "mlflow-artifacts://other:80/7"}, False),
        ({"trace": {"trace_info": {"tags": {"mlflow.artifactLocation": ELSEWHERE}}}}, False),
        ({"key": "mlflow.trace.archiveLocation", "value": ELSEWHERE}, False),
        ({"tags": [{"key": "mlflow.artifactLocation", "value": ELSEWHERE}]}, False),
        ({"tags": [{"key": "note", "value": ELSEWHERE}], "source": ELSEWHERE}, True),
        ('{"name": "a", "artifact_location": "file:///etc"}', False),
    ],
)
def test_a_user_names_no_place_of_files_of_the_servers_machine(monkeypatch, path, body, right) -> None:
    flask = pytest.importorskip("flask")
    from types import SimpleNamespace

    from workbench.tracking import server_authorization

    known = SimpleNamespace(
        authenticate_request_basic_auth=lambda: "anna",
        request=flask.request,
        make_response=flask.make_response,
    )
    monkeypatch.setitem(sys.modules, "mlflow.server", SimpleNamespace(auth=known))
    monkeypatch.setitem(sys.modules, "mlflow.server.auth", known)
    app = flask.Flask("server")
    with app.test_request_context(f"{path}/mlflow/experiments/create", method="POST", json=body):
        answer = server_authorization.authorize()
    assert answer == "anna" if right else answer.status_code == 400
    with app.test_request_context(f"{path}/mlflow/assistant/config", method="PUT", json={}):
        assert server_authorization.authorize().status_code == 403
    upload = f"{path}/mlflow-artifacts/artifacts/7/x"
    with app.test_request_context(upload, method="PUT", data=json.dumps(body)):
        assert server_authorization.authorize() == "anna"
        assert flask.request.stream.read()  # whoever keeps the file finds it


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("runs:/1/model", True),
        ("models:/m-1", True),
        (f"{HERE}/model", True),
        ("dummy-source", True),
        ("", True),
        (ELSEWHERE, False),
        ("/etc", False),
        ("s3://bucket/of/others", False),
        ("runs:/1/%2e%2e/x", False),
        (["runs:/1"], False),
    ],
)
def test_a_version_of_a_model_lies_with_the_server(source: object, right: bool) -> None:
    from workbench.tracking import server_authorization

    assert server_authorization.is_own({"name": "m", "source": source}, version=True) is right


def test_the_server_asks_its_door(tmp_path: Path) -> None:
    from importlib import import_module

    result = plan(tmp_path).environment()
    text = Path(result["MLFLOW_AUTH_CONFIG_PATH"]).read_text()
    module, _, name = text.split("authorization_function = ")[1].split()[0].partition(":")
    assert callable(getattr(import_module(module), name))
    home = Path(result["PYTHONPATH"].split(":")[0])
    assert (home / "workbench" / "tracking" / "server_authorization.py").is_file()
