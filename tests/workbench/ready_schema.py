"""MLflow's schema, made once for all stores of the tests: making it takes two seconds of a processor, a copy none."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from workbench.tracking import mlflow_client

FOLDER = "WORKBENCH_TEST_SCHEMA"  # a variable, so that children find what this process has made
OF_DEFAULT = "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)"


def share() -> None:
    """Let `migrate`, in this process, copy what the first call of it in any process of these tests has made."""
    make = mlflow_client.migrate

    def copied(path: Path, artifacts: Path) -> None:
        if FOLDER not in os.environ:
            return make(path, artifacts)
        ready = Path(os.environ[FOLDER]) / "mlflow.db"
        if not ready.exists():
            aside = ready.with_name(f"{os.getpid()}.db")
            make(aside, ready.parent)
            aside.rename(ready)  # two processes may make it at once; each of them is whole
        shutil.copy(ready, path)
        with sqlite3.connect(path) as database:
            database.execute(OF_DEFAULT, [str(ready.parent), str(artifacts)])
        database.close()

    mlflow_client.migrate = copied
