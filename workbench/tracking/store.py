"""Where records live, and quick reads of them without MLflow.

A store is a folder (`mlruns/`) with the journals, checkpoints and TensorBoard files, and beside them
the MLflow database; a server address takes the place of the database only. Reads go straight to
SQLite with a read-only connection and one query a table; writing is MLflow's own business.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from workbench.errors import StoreError
from workbench.names import TAG_ID, TAG_NAME, TAG_PARENT, TAG_QUICK, TAG_RUN, TAG_SEED, TAG_STATUS, TAG_STUDY
from workbench.security.foreign_files import is_below
from workbench.security.foreign_names import is_run
from workbench.tracking.journal import SUFFIX

FOLDER = "mlruns"
OUTPUT = "output.log"  # in a run's folder: what its own process prints, where several work side by side
VARIABLE = "WORKBENCH_STORE"
BUSY_SECONDS = 20.0
READ_SECONDS = 60.0  # for all that is asked of one open database
MLFLOW_INFINITY = 1.7976931348623157e308  # what MLflow keeps for infinity
_SERVER = ("http://", "https://", "postgresql", "mysql", "mssql", "databricks")


@dataclass(frozen=True)
class Store:
    """A place of records: `root` is the folder, `uri` the address of MLflow's tracking store."""

    root: Path
    uri: str

    @property
    def is_local(self) -> bool:
        """Whether MLflow's data is the SQLite file in `root`."""
        return self.uri.startswith("sqlite:")

    @property
    def address(self) -> str:
        """What `--store` says in another process, so that it means this store."""
        return str(self.root) if self.is_local else self.uri

    @property
    def database(self) -> Path:
        """The SQLite file of a local store (with a server, where it would be)."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.is_local else self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def journals(self) -> Path:
        return self.root / "journal"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def report(self, study: str) -> Path:
        """The folder of a study's report."""
        return self.reports / study.replace("/", "_")

    def journal(self, run: str) -> Path:
        return self.journals / f"{run}{SUFFIX}"

    def run_folder(self, run: str) -> Path:
        """The folder beside the journal: `artifacts/` in it is what views show as artifacts."""
        return self.journals / f"{run}.d"

    def run_artifacts(self, run: str) -> Path:
        return self.run_folder(run) / "artifacts"

    def run_checkpoints(self, run: str) -> Path:
        return self.checkpoints / run

    def runs(self) -> list[str]:
        """Return the names of all runs that have a journal, the oldest first; `odd_journals` has the rest."""
        return [name for name in self._journal_names() if is_run(name)]

    def odd_journals(self) -> list[str]:
        """Return the files among the journals whose names can be no run's: they are reported and never used."""
        return [f"{name}{SUFFIX}" for name in self._journal_names() if not is_run(name)]

    def _journal_names(self) -> list[str]:
        if not self.journals.is_dir():
            return []
        # A name begins with its moment, so that sorting by name is sorting by age.
        return sorted(path.name.removesuffix(SUFFIX) for path in self.journals.glob(f"*{SUFFIX}"))

    def refuse_links(self, run: str) -> None:
        """Raise StoreError where something of a run is a link: writing there would leave the store."""
        places = (self.journal(run), self.run_folder(run), self.run_artifacts(run), self.run_checkpoints(run))
        # A symbolic link of a run would let a record from elsewhere choose where checkpoints are written.
        for path in places:
            if path.is_symlink():
                raise StoreError("is a link, which is not followed", where=path, do="put a copy in its place")

    def require_there(self) -> None:
        """Raise StoreError where nothing is at the store's place: a typo would else be an empty store."""
        near = self.root / FOLDER  # a project's folder, given instead of the records in it
        # An empty folder is a store too, before its first run; only one that holds an `mlruns/` was surely
        # meant otherwise.
        known = self.journals.is_dir() or self.database.exists() or not near.is_dir()
        if not self.is_local or (self.root.is_dir() and known):
            return
        raise StoreError(
            "no store is here",
            where=self.root,
            expected="a folder of records, which the first `workbench run` makes",
            do=f"did you mean {near}?"
            if near.is_dir()
            else "give the folder with --store or WORKBENCH_STORE",
        )

    def require_writable(self) -> None:
        """Raise StoreError unless files can be made in the folder (which is created)."""
        # A file is made, for rights alone do not tell of a full or read-only disk.
        probe = self.journals / f".probe-{os.getpid()}"
        try:
            self.journals.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"the store cannot be written: {error.strerror}",
                where=self.root,
                do="give another place with --store or WORKBENCH_STORE",
            ) from error


def find_store(address: str | None = None, start: str | Path | None = None) -> Store:
    """Return the store at `address`, else at $WORKBENCH_STORE, else the project's `mlruns/`.

    `address` is a folder, a `sqlite:///` address of an `mlflow.db`, or that of a server; with a server
    the journals stay in the project's folder. The project is the nearest folder upwards from `start`
    (default: the working directory) that holds `mlruns/`, `experiments/` or `pyproject.toml`.
    """
    # The command line before the environment before the project: the nearer to the person, the more it counts.
    address = address or os.environ.get(VARIABLE) or None
    project = project_folder(Path(start) if start else Path.cwd())
    if address is None:
        return _local(project / FOLDER)
    # The journals stay here: what is true of a run must not hang on a server that may be down.
    if address.startswith(_SERVER):
        return Store(project / FOLDER, address.rstrip("/"))
    if address.startswith("sqlite:///"):
        return _from_database(Path(address.removeprefix("sqlite:///")))
    if "://" in address and not address.startswith("file://"):
        raise StoreError(
            f"unknown kind of store {address!r}",
            expected="a folder, sqlite:///path/mlflow.db or http(s)://host:port",
        )
    return _local(Path(address.removeprefix("file://")).expanduser())


def project_folder(start: Path) -> Path:
    """Return the nearest folder from `start` upwards that looks like a project, else `start`."""
    start = start.resolve()
    # Upwards, so that a command works from any folder of the project, as git's do.
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in (FOLDER, "experiments", "pyproject.toml")):
            return folder
    return start


def _local(root: Path) -> Store:
    # Resolved once: whatever is compared with the store's place later must mean the real folder.
    root = root.resolve()
    if root.exists() and not root.is_dir():
        raise StoreError(
            "not a folder", where=root, expected="a folder of records", do="give the folder to --store"
        )
    _refuse_links(root)
    return Store(root, f"sqlite:///{root / 'mlflow.db'}")


def _refuse_links(root: Path) -> None:
    """Refuse a folder of records of which a part lies elsewhere: what is written there leaves the store."""
    for entry in os.scandir(root) if root.is_dir() else ():
        if entry.is_symlink() and not is_below(Path(entry.path), root):
            raise StoreError(
                "is a link out of the store",
                where=entry.path,
                expected="a file or folder of its own",
                do="move what it leads to into the store, or the whole store there",
            )


def _from_database(path: Path) -> Store:
    if path.name != "mlflow.db":
        raise StoreError(
            f"the database is named {path.name!r}", where=path, expected="a file named mlflow.db"
        )
    return _local(path.parent)


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow's database holds it; `run` is our name of it, empty for a foreign run."""

    mlflow_id: str
    run: str
    study: str
    name: str
    id: str
    seed: str
    quick: bool
    status: str
    parent: str
    started: float | None  # seconds since 1970
    ended: float | None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifact_uri: str = ""


@contextmanager
def connect(database: Path) -> Iterator[sqlite3.Connection]:
    """Open MLflow's SQLite file for reading only.

    A read-only medium, where SQLite cannot make its lock files, is read as immutable. Raises
    StoreError, in one line, for a file that is missing, is locked for long or is not a database.
    """
    if not database.exists():
        raise StoreError("no records yet", where=database, do="run an experiment, or `workbench sync`")
    address = f"file:{quote(str(database))}?mode=ro"
    connection = None
    try:
        connection = _open_readonly(address)
        yield connection
    except sqlite3.Error as error:
        raise StoreError(
            f"cannot read the records: {error}", where=database, do="try again, or `workbench rebuild`"
        ) from error
    finally:
        if connection is not None:
            connection.close()


def _open_readonly(address: str) -> sqlite3.Connection:
    connection = _bounded(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS))
    try:
        # The first read, not the opening, is where SQLite needs its lock files.
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        # Somebody is writing: read as immutable it would give a half-written page.
        if "locked" in str(error) or "busy" in str(error):
            raise
        connection = _bounded(sqlite3.connect(address + "&immutable=1", uri=True, timeout=BUSY_SECONDS))
    return connection


def _bounded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let a connection only read, run no function that a file's own schema calls, and end after a time.

    A database from elsewhere may hold a view in the name of a table that never comes to an end.
    """
    # A handler, for SQLite has no limit of time of its own; it is called every so many steps of its machine.
    deadline = time.monotonic() + READ_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    return connection


def read_runs(store: Store) -> list[StoredRun]:
    """Return all runs of the SQLite database that are not deleted: three queries, no MLflow."""
    with connect(store.database) as connection:
        rows = connection.execute(
            "SELECT r.run_uuid, e.name, r.name, r.status, r.start_time, r.end_time, r.artifact_uri "
            "FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
            "WHERE r.lifecycle_stage = 'active' ORDER BY r.start_time, r.run_uuid"
        ).fetchall()
        # A query a table instead of one a run: the listing of a hundred runs waits for three.
        parameters = _by_run(connection, "params")
        tags = _by_run(connection, "tags")
    found = []
    for row in rows:
        with contextlib.suppress(TypeError, ValueError, OverflowError, AttributeError):
            # A row of wrong types is another program's: it is left out, and the others are read.
            found.append(_stored_run(row, parameters.get(row[0], {}), tags.get(row[0], {})))
    return found


def _by_run(connection: sqlite3.Connection, table: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run, key, value in connection.execute(f"SELECT run_uuid, key, value FROM {table} ORDER BY key"):
        found.setdefault(run, {})[key] = value
    return found


def _stored_run(row: tuple[str, ...], parameters: dict[str, str], tags: dict[str, str]) -> StoredRun:
    identity, experiment, name, status, started, ended, artifacts = row
    return StoredRun(
        mlflow_id=identity,
        # Tags before columns: another program's name or status of the run is not what its record says.
        run=tags.get(TAG_RUN, ""),
        study=tags.get(TAG_STUDY, experiment),
        name=tags.get(TAG_NAME, name or ""),
        id=tags.get(TAG_ID, ""),
        seed=tags.get(TAG_SEED, ""),
        quick=tags.get(TAG_QUICK) == "true",
        status=tags.get(TAG_STATUS, (status or "").lower()),
        parent=tags.get(TAG_PARENT, ""),
        started=int(started) / 1000 if started else None,
        ended=int(ended) / 1000 if ended else None,
        parameters=parameters,
        tags=tags,
        artifact_uri=artifacts or "",
    )
