"""Makes MLflow's database and the TensorBoard folders anew, from the journals alone.

All is built aside and put in place at the end; what was there before stays in a backup folder. Runs
are logged through MLflow's client like any others, in its largest batches. TensorBoard's files are
written by a second process meanwhile: both are work for the processor, not for the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from workbench.errors import InputError, StoreError
from workbench.files import sync
from workbench.security.children import die_with_parent, reset_signals
from workbench.tracking.journal import is_locked
from workbench.tracking.locks import all_views
from workbench.tracking.mlflow_client import migrate, open_client
from workbench.tracking.store import Store
from workbench.tracking.sync_thread import Say, reason
from workbench.views.artifact_folders import (
    ASIDE,
    artifact_folders,
    clear_killed,
    note_made,
    note_old,
    put_away,
    undo,
)
from workbench.views.mlflow import MlflowView
from workbench.views.model_registry import Registry
from workbench.views.sync import sync_run
from workbench.views.tensorboard import TensorBoardView

COLLECT_EVERY = 50  # runs; MLflow's objects are plain data, so collecting garbage seldom is safe
REFUSED = "INVALID_PARAMETER_VALUE"  # MLflow's code of a value that it does not take: one run's fault, not the disk's


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did: runs made, runs that could not be made and why, and the backup folder."""

    runs: int
    failed: dict[str, str]
    backup: Path
    foreign: int  # runs in the old database that have no journal; they stay in the backup


def rebuild(store: Store, say: Say) -> Rebuilt:
    """Build the store's views anew from its journals and put them in place.

    Raises StoreError, with nothing changed, when a run is being recorded, the store cannot be
    written, or its database belongs to a server.
    """
    if not store.is_local:
        raise StoreError(
            "a server's database cannot be replaced from here",
            where=store.uri,
            do="give the server an empty database, then `workbench sync` fills it",
        )
    store.require_writable()
    with all_views(store):
        # A training begins its views after it has locked its journal: with the views locked none can come between.
        busy = [run for run in store.runs() if is_locked(store.journal(run))]
        if busy:
            raise StoreError(
                f"run {busy[0]} is being recorded", where=store.root, do="wait for it or stop it"
            )
        stamp = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
        clear_killed(store)
        aside = store.root / f"{ASIDE}{stamp}-{os.getpid()}"
        aside.mkdir()
        try:
            failed = _build(store, aside, say)
            foreign = _swap(store, aside, backup := _free(store.root / f"backup-{stamp}"))
        except BaseException as error:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                undo(store, aside)
            if not _is_of_the_disk(error):
                raise
            raise StoreError(
                f"cannot be rebuilt: {reason(error)}",
                where=store.root,
                do="the old records are as they were; make space and try again",
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Rebuilt(len(store.runs()) - len(failed), failed, backup, foreign)


def _free(backup: Path) -> Path:
    """Return the place of a backup, another where a rebuild within the same second made one there."""
    places = (backup.with_name(f"{backup.name}-{number}") for number in range(2, 1000))
    return next((place for place in (backup, *places) if not place.exists()), backup)


def _is_of_the_disk(error: BaseException) -> bool:
    """Tell errors of files and databases, MLflow's wrapping of them included, from faults of the program."""
    home = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or home in ("sqlite3", "sqlalchemy", "mlflow")


def _build(store: Store, aside: Path, say: Say) -> dict[str, str]:
    """Make the new database and TensorBoard folder in `aside`; returns what failed, by run."""
    boards = multiprocessing.get_context("fork").Process(
        target=write_boards, args=(store, aside / "tensorboard", os.getpid())
    )
    boards.start()
    try:
        failed = _write_database(
            dataclasses.replace(store, uri=f"sqlite:///{aside / 'mlflow.db'}"), aside, say
        )
    except BaseException:
        boards.terminate()
        raise
    finally:
        boards.join()
    if boards.exitcode:
        raise StoreError(
            "the TensorBoard files could not be written", where=aside, do="make space and try again"
        )
    return failed


def write_boards(store: Store, root: Path, parent: int) -> None:
    """Write the TensorBoard files of all runs below `root`, as long as the process `parent` is there."""
    # Killed, not asked: half the files are worth nothing, and the folder aside goes with them.
    die_with_parent(parent, signal.SIGKILL)
    reset_signals()
    root.mkdir()
    for run in store.runs():
        try:
            sync_run(store, run, [TensorBoardView(store, root)], lambda line: None)
        except InputError:
            continue  # a journal without a start row: `_write_database` names it
        except OSError as error:
            raise SystemExit(1) from error  # no traceback: the process that waits says what it means


def _write_database(store: Store, aside: Path, say: Say) -> dict[str, str]:
    """Log every journal into a new database at the store's address; returns what failed, by run."""
    failed: dict[str, str] = {}
    with _quick_sqlite(), _seldom_collected():
        migrate(store.database, store.artifacts)
        client = open_client(store)
        studies: dict[str, str] = {}
        for number, run in enumerate(store.runs(), start=1):
            view = MlflowView(store, client, fresh=True, studies=studies)
            try:
                sync_run(store, run, [view], say)
            except Exception as error:
                if not isinstance(error, InputError) and getattr(error, "error_code", "") != REFUSED:
                    raise
                failed[run] = reason(error)
                say(f"{run}: {failed[run]}")
            finally:  # a full disk ends all, and what was begun must be found
                note_made(aside, filter(None, (view.place, *view.model_places)))
            if number % COLLECT_EVERY == 0:
                gc.collect()
                say(f"{number} of {len(store.runs())} runs")
        for run, words in Registry(client, store).register_all().items():
            failed.setdefault(run, words)
            say(f"{run}: {words}")
    return failed


@contextlib.contextmanager
def _quick_sqlite() -> Iterator[None]:
    """Spare each commit its wait for the disk: the file is aside and is made durable once at the end."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def settle(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA journal_mode=MEMORY")

    event.listen(Engine, "connect", settle)
    try:
        yield
    finally:
        event.remove(Engine, "connect", settle)


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _swap(store: Store, aside: Path, backup: Path) -> int:
    """Put the new files in place and the old ones into `backup`; returns the count of foreign runs."""
    # Durable before anything is replaced by it: it was written without waiting for the disk.
    sync(aside / "mlflow.db")
    backup.mkdir()
    old, foreign = artifact_folders(store)
    if store.database.exists():
        # A second name, not a rename: at no moment is there no database.
        os.link(store.database, backup / "mlflow.db")
    note_old(aside, backup, old)  # a kill after the next line leaves them to whoever comes next
    (aside / "mlflow.db").replace(store.database)  # from here on the new records count
    sync(store.root)  # the name as well, before the old files are moved away
    if store.tensorboard.exists():
        store.tensorboard.rename(backup / "tensorboard")
    (aside / "tensorboard").rename(store.tensorboard)
    put_away(store, backup, old)
    return foreign
