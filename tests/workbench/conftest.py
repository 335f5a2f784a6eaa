"""A store whose MLflow database is a copy: making a schema takes seconds, copying one does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workbench.tracking.store import Store, find_store


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from workbench.tracking.mlflow_client import migrate

    folder = tmp_path_factory.mktemp("schema")
    migrate(folder / "mlflow.db", folder / "artifacts")
    return folder / "mlflow.db"


@pytest.fixture
def store(tmp_path: Path, schema: Path) -> Store:
    """An empty store that MLflow can open at once."""
    found = find_store(str(tmp_path / "mlruns"))
    found.root.mkdir()
    shutil.copy(schema, found.database)
    return found
