"""A real `workbench server` and a user who may log there: no place of files but the server's own is read or written.

The server runs on SQLite, as on a bench of one machine; what is asked of it goes through every address that MLflow
has for the same (`api`, `ajax-api`, versions 2 and 3, `preview`), with places written in every way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from served import free_port

pytest.importorskip("flask_wtf", reason="Flask-WTF is not installed: pip install 'workbench[server]'")

WHO = ("anna", "pass-phrase of anna")
SECRET = "what nobody who logs here may read"
APIS = ("/api/2.0", "/ajax-api/2.0", "/api/2.0/preview", "/api/3.0", "/ajax-api/3.0")


class Shared:
    """A running server, and the folder beside it that it must never touch."""

    def __init__(self, url: str, project: Path, outside: Path) -> None:
        self.url, self.project, self.outside = url, project, outside

    def ask(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> requests.Response:
        """Send a request as it is written: nothing in its path is tidied up on the way."""
        with requests.Session() as session:
            made = session.prepare_request(requests.Request(method, self.url, json=body, data=data, auth=WHO))
            made.url = self.url + path
            return session.send(made, timeout=60)

    def made(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.ask("POST", path, body)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Shared]:
    project, outside = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("outside")
    (project / "mlruns").mkdir()
    (outside / "attachments").mkdir()
    for name in ("secret.txt", "traces.json", f"attachments/{uuid.UUID(int=1)}"):
        (outside / name).write_text(json.dumps({"spans": [SECRET]}))
    port = free_port()
    words = [sys.executable, "-m", "workbench", "server", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", "HOME": str(outside)}
    process = subprocess.Popen(words, cwd=project, env=environment, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert any(line.startswith("Ctrl-C") for line in process.stdout)
        added = subprocess.run(
            [*words[:6], "--add-user", WHO[0]], cwd=project, env=environment, text=True, input=WHO[1] + "\n"
        )
        assert added.returncode == 0
        yield Shared(f"http://127.0.0.1:{port}", project, outside)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=1200)


@pytest.fixture(scope="module")
def run(shared: Shared) -> dict[str, Any]:
    """A run of the user's own, as everybody has one."""
    study = shared.made("/api/2.0/mlflow/experiments/create", {"name": "own"})["experiment_id"]
    found: dict[str, Any] = shared.made("/api/2.0/mlflow/runs/create", {"experiment_id": study})
    return dict(found["run"]["info"])


@pytest.fixture(autouse=True)
def untouched(shared: Shared) -> Iterator[None]:
    def content() -> dict[str, str]:
        return {str(path): path.read_text() for path in shared.outside.rglob("*") if path.is_file()}

    before = content()
    yield
    assert content() == before
    kept = shared.project / "mlruns" / "artifacts"  # a name with backslashes is a name here
    found = [path for path in shared.project.parent.rglob("*pwned*") if not path.is_relative_to(kept)]
    assert not found


def places(outside: Path) -> list[str]:
    """Return the folder outside and others, as many ways as a place can be written."""
    up = [f"mlflow-artifacts:/{dots}/{dots}/x" for dots in ("..", "%2e%2e", "%252e%252e", "..%2f", "..\\")]
    local = [f"file://{outside}", f"FILE://{outside}", f"file:{outside}", f"file://localhost{outside}"]
    return [*local, *up, str(outside), "../../x", "~/x", "s3://other/x", "mlflow-artifacts://other:80/x"]


def test_no_study_lies_elsewhere(shared: Shared) -> None:
    for number, (api, place) in enumerate((api, place) for api in APIS for place in places(shared.outside)):
        for field in ("artifact_location", "artifactLocation"):
            body = {"name": f"{number} {field}", field: place}
            for sent in (body, json.dumps(body)):
                answer = shared.ask("POST", f"{api}/mlflow/experiments/create", sent)
                assert answer.status_code in (400, 403), (api, body, answer.text)
    twice = b'{"name":"x","artifact_location":"mlflow-artifacts:/7","artifact_location":"file:///etc"}'
    assert shared.ask("POST", "/api/2.0/mlflow/experiments/create", data=twice).status_code == 400
    found = shared.made("/api/2.0/mlflow/experiments/search", {"max_results": 1000})["experiments"]
    assert all(study["artifact_location"].startswith("mlflow-artifacts:/") for study in found)
    assert not any("e%" in study["artifact_location"] for study in found)


def test_no_version_of_a_model_lies_elsewhere(shared: Shared, run: dict[str, Any]) -> None:
    shared.made("/api/2.0/mlflow/registered-models/create", {"name": "m"})
    for api in APIS:
        for place in [*places(shared.outside), f"runs:/{run['run_id']}/../../x", "http://127.0.0.1:9/x"]:
            for more in ({}, {"run_id": run["run_id"]}):
                body = {"name": "m", "source": place, **more}
                answer = shared.ask("POST", f"{api}/mlflow/model-versions/create", body)
                assert answer.status_code in (400, 403), (api, body, answer.text)
    own = {"name": "m", "source": f"runs:/{run['run_id']}/model", "run_id": run["run_id"]}
    assert shared.made("/api/2.0/mlflow/model-versions/create", own)["model_version"]["version"] == "1"


def traced(shared: Shared, study: str, tags: dict[str, str]) -> tuple[str, requests.Response]:
    name = f"tr-{uuid.uuid4().hex}"
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": study}}
    info = {"trace_id": name, "trace_location": where, "state": "OK", "tags": tags}
    body = {"trace": {"trace_info": {**info, "request_time": "2026-01-01T00:00:00Z"}}}
    return name, shared.ask("POST", "/api/3.0/mlflow/traces", body)


def test_no_trace_is_read_elsewhere(shared: Shared, run: dict[str, Any]) -> None:
    study, place = run["experiment_id"], f"file://{shared.outside}"
    name, answer = traced(shared, study, {})
    assert answer.ok, answer.text
    names = [name]
    for tag in ("mlflow.artifactLocation", "mlflow.trace.archiveLocation"):
        for api in APIS:
            shared.ask("PATCH", f"{api}/mlflow/traces/{name}/tags", {"key": tag, "value": place})
        names.append(traced(shared, study, {tag: place, "mlflow.trace.spansLocation": "ARCHIVE_REPO"})[0])
        old = {"experiment_id": study, "timestamp_ms": 1, "tags": [{"key": tag, "value": place}]}
        assert shared.ask("POST", "/api/2.0/mlflow/traces", old).status_code == 400
    for name in names:
        for api in ("/ajax-api/2.0", "/ajax-api/3.0"):
            for path in ("", f"&path={uuid.UUID(int=1)}", "&path=../secret.txt", "&path=secret.txt"):
                answer = shared.ask("GET", f"{api}/mlflow/get-trace-artifact?request_id={name}{path}")
                assert SECRET not in answer.text, (name, path)


def test_no_name_of_an_artifact_leads_out(shared: Shared, run: dict[str, Any]) -> None:
    own, outside = run["run_id"], str(shared.outside)
    model = {"experiment_id": run["experiment_id"], "name": "m", "source_run_id": own}
    logged = shared.made("/api/2.0/mlflow/logged-models", {**model, "artifact_uri": f"file://{outside}"})
    kept = f"/ajax-api/2.0/mlflow/logged-models/{logged['model']['info']['model_id']}/artifacts"
    ups = ["../" * count + outside[1:] + "/secret.txt" for count in (1, 4, 12)]
    ups += [up.replace("..", dots) for up in ups for dots in ("%2e%2e", "%252e%252e", "%25252e%25252e")]
    ups += [up.replace("/", slash) for up in ups[:3] for slash in ("%2f", "%252f", "%5c", "\\")]
    for bad in (*ups, outside, f"file://{outside}", f"/{outside}/secret.txt", f"%2f{outside}/secret.txt"):
        asked = (
            f"/get-artifact?run_id={own}&path={bad}",
            f"/api/2.0/mlflow/artifacts/list?run_id={own}&path={bad}",
            f"/model-versions/get-artifact?name=m&version=1&path={bad}",
            f"/api/2.0/mlflow-artifacts/artifacts/{bad}",
            f"/ajax-api/2.0/mlflow-artifacts/artifacts/{run['experiment_id']}/{own}/artifacts/{bad}",
            f"/api/2.0/mlflow-artifacts/artifacts?path={bad}",
            f"{kept}/files?artifact_file_path={bad}",
            f"{kept}/directories?artifact_directory_path={bad}",
        )
        for path in asked:
            answer = shared.ask("GET", path)
            assert SECRET not in answer.text and "attachments" not in answer.text, path
        put = bad.replace("secret.txt", "pwned")
        shared.ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{put}", data=b"x")
        upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={own}&path={put}"
        shared.ask("POST", upload, data=b"x")
        shared.ask("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{bad}")


def test_what_a_user_may_do_still_works(shared: Shared, run: dict[str, Any]) -> None:
    place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    content = os.urandom(3_000_000)
    for api in ("/api/2.0", "/ajax-api/2.0"):
        at = f"{api}/mlflow-artifacts/artifacts/{place}/weights.bin"
        assert shared.ask("PUT", at, data=content).ok
        assert shared.ask("GET", at).content == content
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run['run_id']}&path=note.txt"
    assert shared.ask("POST", upload, data=b"{not json").ok
    assert shared.ask("GET", f"/get-artifact?run_id={run['run_id']}&path=note.txt").content == b"{not json"


def test_nobody_is_lent_the_machine(shared: Shared) -> None:
    helper = "/ajax-api/3.0/mlflow/assistant"
    for method, path, body in (
        ("POST", "/message", {"message": "x"}),
        ("PUT", "/config", {"projects": {"1": {"type": "local", "location": "/etc"}}}),
        ("POST", "/skills/install", {"type": "custom", "custom_path": str(shared.outside)}),
    ):
        assert shared.ask(method, helper + path, body).status_code == 403
    for path in ("/graphql", "/ajax-api/2.0/mlflow/experiments/search-datasets"):
        answer = shared.ask("POST", path, {"query": "mutation{mlflowCreateExperiment{x}}"})
        assert "mlflowCreateExperiment' on type" in answer.text or not answer.ok
