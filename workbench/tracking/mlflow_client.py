"""MLflow's client as the workbench needs it: quiet, quick to give up, its database made only once."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import StoreError
from workbench.files import replacing
from workbench.tracking.locks import lock
from workbench.tracking.postgres import with_driver
from workbench.tracking.store import Store
from workbench.tracking.sync_thread import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Two threads that import MLflow at once see one half of it each: its parts import one another in circles.
IMPORTING = threading.Lock()
PLACEHOLDER = "mlflow-artifacts:/"  # a place that MLflow makes no folder for
SCHEMA_PATIENCE = 120.0  # seconds to wait while another process makes the database
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # No connection outlives its use, so that a rebuilt database is seen at once.
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}


def quiet_mlflow() -> None:
    """Set MLflow's environment: no telemetry, short time-outs, no log lines. Call before its import."""
    for name, value in SETTINGS.items():
        # Set only where nobody has: a person may need a longer time-out for a slow server.
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def open_client(store: Store) -> MlflowClient:
    """Return a client of the store; a local database that is not there yet is made first."""
    quiet_mlflow()
    # Made by us first: MLflow's own start of a new database takes no lock, and several processes break it.
    if store.is_local:
        create_database(store.database)
    with IMPORTING:
        from mlflow import MlflowClient

    quiet_mlflow()  # the import sets the level of its logger anew
    uri = with_driver(store.uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def unreachable(store: Store, error: Exception, do: str) -> StoreError:
    """Return the refusal of an MLflow that does not answer."""
    where = store.database if store.is_local else store.uri
    return StoreError(f"MLflow does not answer: {reason(error)}", where=where, do=do)


def create_database(path: Path) -> None:
    """Make MLflow's SQLite database at `path` unless it is there; eight processes make it once.

    It is made aside and renamed, so that no other process ever opens a half-made schema.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_name(".mlflow.lock"), patience=SCHEMA_PATIENCE, why="the database is being made"):
        # Asked again under the lock: another process may have made it while this one waited.
        if not path.exists():
            with replacing(path) as temporary:
                migrate(temporary, path.parent / "artifacts")


def migrate(path: Path, artifacts: Path) -> None:
    """Make an empty database of MLflow's newest schema at `path` (about 2 s)."""
    quiet_mlflow()
    with IMPORTING:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    quiet_mlflow()
    make: Any = SqlAlchemyStore
    make(f"sqlite:///{path}", PLACEHOLDER)
    # MLflow writes the place of its first experiment into a statement as text: a quote in the path ends that.
    artifacts.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (str(artifacts / "0"),))
