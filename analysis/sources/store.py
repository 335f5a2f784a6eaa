"""The runs of a store: MLflow's tables, and the journals of runs that are not in them."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.branches import continued
from analysis.frames import Records, build, concat
from workbench.errors import StoreError
from workbench.tracking.store import Store

SERVERS = ("http://", "https://")
DATABASES = ("postgresql://", "postgresql+psycopg2://", "mysql://", "sqlite:///")


def is_address(item: str) -> bool:
    """Tell the address of a tracking server or of a database from a path."""
    return item.startswith((*SERVERS, *DATABASES))


class EmptyStore(StoreError):
    """A store without any record."""

    def __init__(self, where: object) -> None:
        super().__init__("no records yet", where=where, do="run an experiment, or import old records")


def read_store(
    store: Store, runs: Sequence[str] | None = None, journals: bool = False, epochs_from: int | None = None
) -> Records:
    """Return the frames of a store: MLflow's tables, and the journals of runs that are not in them.

    A branch has the epochs of its trunk before its own. `epochs_from` is what other programs' runs call their first
    epoch, where the user says it. Raises `EmptyStore` when there is nothing to read at all.
    """
    own = _own(store, runs, journals, epochs_from)
    if own.runs.empty and runs is None:
        raise EmptyStore(store.uri.rpartition("@")[2])  # without a user and a password
    return continued(own, lambda names: read_store(store, names, journals, epochs_from))


def _own(store: Store, runs: Sequence[str] | None, journals: bool, epochs_from: int | None) -> Records:
    if store.uri.startswith(SERVERS):
        from analysis.sources.mlflow_server import read_server

        return read_server(store.uri, runs, epochs_from=epochs_from)
    if not store.is_local:
        from analysis.sources.mlflow_sql import read_server_database

        return read_server_database(store.uri, runs, epochs_from)
    chosen = None if runs is None else set(runs)
    own = [name for name in store.runs() if chosen is None or name in chosen]
    parts = []
    if store.database.exists():
        parts = _database(store, runs, own if journals else [], epochs_from)
    # After the tables: a run that no view has seen yet, or none may see, is in its journal alone.
    known = {run for part in parts for run in part.runs["run"]}
    rest = [name for name in own if name not in known]
    if rest:
        parts.append(_journals(store, rest))
    if not any(len(part.runs) for part in parts):
        raise EmptyStore(store.root)
    return concat([part for part in parts if len(part.runs)])


def _journals(store: Store, runs: Sequence[str]) -> Records:
    from analysis.sources import journal

    read = [journal.read(store.journal(name)) for name in runs if not journal.is_sweep(store.journal(name))]
    return build([data for found, _ in read for data in found], [note for _, notes in read for note in notes])


def _database(
    store: Store, runs: Sequence[str] | None, without: Sequence[str], epochs_from: int | None
) -> list[Records]:
    from analysis.sources.mlflow_sql import read_database
    from workbench.tracking.store import read_runs

    if runs is None and not without:
        return [read_database(store.database, epochs_from=epochs_from)]
    rows, left = read_runs(store), set(without)
    there = {name for row in rows for name in (row.run or row.mlflow_id, row.mlflow_id)}
    all_named = [row.run or row.mlflow_id for row in rows] if runs is None else runs
    wanted = [name for name in all_named if name in there and name not in left]
    return [read_database(store.database, wanted, epochs_from)] if wanted else []
