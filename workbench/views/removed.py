"""Runs that go to the trash or come back: MLflow's pages show them no more, or again."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.names import TAG_RUN
from workbench.tracking.locks import views_of_run
from workbench.tracking.mlflow_client import open_client, unreachable
from workbench.tracking.store import Store, read_runs
from workbench.tracking.sync_thread import reason
from workbench.views.mlflow import MlflowView
from workbench.views.sync import sync_run
from workbench.views.tensorboard import TensorBoardView


def hide(store: Store, runs: Sequence[str]) -> None:
    """Delete runs in MLflow, which keeps what is deleted; raises `StoreError` where it does not answer."""
    try:
        for run_id in _ids(store, runs):
            open_client(store).delete_run(run_id)
    except Exception as error:
        raise unreachable(store, error, "nothing was removed; try again when it is back") from error


def _ids(store: Store, runs: Sequence[str]) -> list[str]:
    """Return the MLflow ids of runs; a local database is asked without MLflow, whose import takes seconds."""
    if store.is_local:
        return (
            [row.mlflow_id for row in read_runs(store) if row.run in runs] if store.database.exists() else []
        )
    client = open_client(store)
    studies = [study.experiment_id for study in client.search_experiments()]
    found = [row for run in runs for row in client.search_runs(studies, f"tags.`{TAG_RUN}` = '{run}'")]
    return [row.info.run_id for row in found]


def show_again(store: Store, run: str) -> str:
    """Sync one run's views from its journal, also one deleted in MLflow; return why not, if it cannot be."""
    try:
        with views_of_run(store, run):
            # As a resume does it: MLflow brings back a run that is deleted there.
            sync_run(store, run, [TensorBoardView(store), MlflowView(store)], lambda line: None)
    except Exception as error:  # noqa: BLE001 - said by the caller; `workbench sync` does it later
        return reason(error)
    return ""
