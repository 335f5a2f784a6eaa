"""Syncs the views of a store with all its journals, as often as one likes.

Run after a server was away, a disk was full or a training was killed. A run at work, or one that
another process is syncing, is left to that process.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.errors import StoreError
from workbench.names import RUNNING
from workbench.tracking.branch_history import all_rows
from workbench.tracking.history import FILE as HISTORY
from workbench.tracking.history import history_text
from workbench.tracking.journal import Journal
from workbench.tracking.locks import Held, all_views, views_of_run
from workbench.tracking.mlflow_client import open_client, unreachable
from workbench.tracking.runs import read_state
from workbench.tracking.store import Store
from workbench.tracking.sync_thread import Say, View, keep_artifact, reason
from workbench.views.artifact_folders import clear_killed
from workbench.views.mlflow import MlflowView
from workbench.views.model_registry import Registry
from workbench.views.tensorboard import TensorBoardView

if TYPE_CHECKING:
    from mlflow import MlflowClient

LATER = "the journals keep every row; try again when it is back"


@dataclass
class Synced:
    """What a sync did: names of runs that it changed, found in sync, left to others, or could not do."""

    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def sync(store: Store, say: Say) -> Synced:
    """Sync MLflow and TensorBoard with every journal of `store`.

    Raises StoreError when the store as a whole cannot be reached or written; a single run that
    cannot be synced is named and the rest is done.
    """
    done = Synced()
    if not store.runs():
        return done
    store.require_writable()
    # Only where nobody writes views: what a rebuild at work has made looks like what a killed one left.
    with contextlib.suppress(Held), all_views(store, patience=0.0):
        clear_killed(store)
    client = _reach(store)
    studies: dict[str, str] = {}
    for run in store.runs():
        try:
            with views_of_run(store, run):
                views: list[View] = [
                    TensorBoardView(store),
                    # Not revived: a run that a person deleted in MLflow's pages stays deleted.
                    MlflowView(store, client, revive=False, studies=studies),
                ]
                changed = sync_run(store, run, views, say)
            (done.changed if changed else done.unchanged).append(run)
        except Held:
            done.in_use.append(run)
        except Exception as error:  # noqa: BLE001 - named below; the other runs are done all the same
            done.failed[run] = reason(error)
            say(f"{run}: {done.failed[run]}")
            # The run's fault, or MLflow's? Without an answer the rest would wait for one time-out each.
            _ping(store, client)
    for run, words in Registry(client, store).register_all().items():
        done.failed.setdefault(run, words)
        say(f"{run}: {words}")
    return done


def register_run(store: Store, run: str) -> None:
    """Bring a run and its models to MLflow, and make all versions that are noted and not there.

    Raises StoreError where MLflow does not answer, and `Held` where another process is writing the run's views.
    """
    client = _reach(store)
    with views_of_run(store, run):
        sync_run(store, run, [MlflowView(store, client, revive=False)], lambda line: None)
    words = Registry(client, store).register_all().get(run)
    if words:
        raise StoreError(words, where=run)


def sync_run(store: Store, run: str, views: list[View], say: Say) -> bool:
    """Sync `views` with one journal; True when something had to be written.

    Lines of the journal that were not trusted are named through `say`.
    """
    store.refuse_links(run)
    state = read_state(store, run)
    journal = state.journal
    if journal.damage:
        lines = ", ".join(str(spot.line) for spot in journal.damage[:5]) + ", ..." * (len(journal.damage) > 5)
        say(f"{run}: damaged or torn lines of its journal are left out: {lines}")
    if not journal.starts:
        raise StoreError("no start row is intact", where=journal.path, do="nothing of it can be shown")
    if state.status != RUNNING:
        keep_history(store, journal)
    for view in views:
        try:
            view.sync(journal, journal.published(), state.status)
        finally:
            view.close()
    return any(view.changes for view in views)


def keep_history(store: Store, journal: Journal) -> None:
    """Give a run that could not do so itself (it was killed) its `history.json`."""
    path, text = store.run_artifacts(journal.run) / HISTORY, history_text(all_rows(journal)).encode()
    if not path.exists() or path.read_bytes() != text:
        keep_artifact(store, journal.run, HISTORY, text)


def _reach(store: Store) -> MlflowClient:
    try:
        client = open_client(store)
    except Exception as error:
        raise unreachable(store, error, LATER) from error
    _ping(store, client)
    return client


def _ping(store: Store, client: MlflowClient) -> None:
    """Raise StoreError unless MLflow answers: waiting for each of a thousand runs helps nobody."""
    try:
        client.search_experiments(max_results=1)
    except Exception as error:
        raise unreachable(store, error, LATER) from error
