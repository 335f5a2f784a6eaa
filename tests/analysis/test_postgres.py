"""A real PostgreSQL: MLflow writes runs into it, and `table` reads them without MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from database import PASSWORD, postgres

from workbench.cli import main

pytest.importorskip("psycopg2", reason="psycopg2 comes with the extra `postgres`")


def test_runs_in_a_real_postgresql_are_read_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    from workbench.tracking.mlflow_client import quiet_mlflow
    from workbench.tracking.postgres import with_driver

    quiet_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    with postgres() as server:
        client = MlflowClient(with_driver(server.uri))
        study = client.create_experiment("faces", artifact_location=(tmp_path / "artifacts").as_uri())
        for name, decay, values in (("one", "0.1", (0.5, 0.9, 0.7)), ("two", "0.2", (0.6, 0.8, 0.95))):
            run = client.create_run(study, run_name=name).info.run_id
            metrics = [Metric("lfw", value, 0, step) for step, value in enumerate(values, start=1)]
            client.log_batch(run, metrics, [Param("weight_decay", decay)])
            client.set_terminated(run)
        assert main(["table", server.uri, "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {row["name"]: (row["best"]["lfw"]["value"], row["best"]["lfw"]["epoch"]) for row in rows}
    assert found == {"one": (0.9, 2), "two": (0.95, 3)}
