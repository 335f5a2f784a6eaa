"""MLflow's client as the workbench needs it: quiet, quick to give up, its database made only once."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.files import replacing
from workbench.tracking.locks import lock
from workbench.tracking.postgres import with_driver
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


_IMPORTING = threading.Lock()


@contextlib.contextmanager
def importing_mlflow() -> Iterator[None]:
    """Let one thread at a time import MLflow: a second one would use its modules half made, and fail on them."""
    quiet_mlflow()
    with _IMPORTING:
        yield
    quiet_mlflow()  # the import sets the level of its logger anew


def open_client(store: Store) -> MlflowClient:
    """Return a client of the store; a local database that is not there yet is made first."""
    if store.is_local:
        create_database(store.database)
    with importing_mlflow():
        from mlflow import MlflowClient
    uri = with_driver(store.uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def create_database(path: Path) -> None:
    """Make MLflow's SQLite database at `path` unless it is there; eight processes make it once.

    It is made aside and renamed, so that no other process ever opens a half-made schema.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_name(".mlflow.lock"), patience=SCHEMA_PATIENCE, why="the database is being made"):
        if not path.exists():
            with replacing(path) as aside:
                migrate(aside, path.parent / "artifacts")


def migrate(path: Path, artifacts: Path) -> None:
    """Make an empty database of MLflow's newest schema at `path` (about 2 s)."""
    with importing_mlflow():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    make: Any = SqlAlchemyStore
    make(f"sqlite:///{path}", str(artifacts))
