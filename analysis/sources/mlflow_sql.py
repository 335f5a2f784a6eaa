"""MLflow's database into the frames: one query a table, SQLite directly, others through SQLAlchemy.

Two million values are read at less than twice the time of a bare SELECT: rows arrive in chunks, texts
become small integers at once, and the frame's categorical columns are made from those. Our runs carry
their stage as a metric; epochs are MLflow's steps. Another program's run that counts from 0 is shifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import (
    EPOCH_COLUMNS,
    INFERRED,
    KINDS,
    Notes,
    Records,
    as_columns,
    optional_int,
    run_frame,
)
from analysis.sources.mlflow_common import (
    facts_of,
    is_derived,
    is_sweep,
    parse_parameter,
    stages_of,
    times_of,
    with_infinity,
)
from analysis.sources.step_epochs import steps_as_epochs
from workbench.errors import RecordError, StoreError
from workbench.names import STAGE, TAG_RUN, declare_recorded, declare_sets
from workbench.tracking.store import connect

CHUNK_ROWS = 50_000
CONNECT_SECONDS = 10
RUNS = (
    "SELECT r.run_uuid, e.name, r.name, r.status, r.start_time, r.end_time FROM runs r "
    "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE r.lifecycle_stage = 'active' "
    "ORDER BY r.start_time, r.run_uuid"
)
METRICS = "SELECT run_uuid, key, value, step, is_nan FROM metrics"
LARGEST_EPOCH = np.iinfo("int32").max
MOST_SELECTED = 500  # runs named in a query; beyond that the whole table is read and filtered


class Query:
    """A connection that answers a query with chunks of rows; texts of queries are the same everywhere."""

    def __init__(self, execute: Any, origin: str) -> None:
        self._execute = execute
        self.origin = origin

    def chunks(self, text: str) -> Iterator[Sequence[Sequence[Any]]]:
        """Yield the rows of a query, `CHUNK_ROWS` at a time."""
        result = self._execute(text)
        while rows := result.fetchmany(CHUNK_ROWS):
            yield rows

    def rows(self, text: str) -> Iterator[Sequence[Any]]:
        """Yield the rows of a query one by one."""
        for chunk in self.chunks(text):
            yield from chunk


def read_database(path: Path, runs: Sequence[str] | None = None, epochs_from: int | None = None) -> Records:
    """Return the frames of MLflow's SQLite file, of all runs or of those named (ours or MLflow's ids).

    Raises `StoreError` for a missing, locked or foreign database, `RecordError` for an unknown run.
    """
    with connect(path) as connection:
        return read(Query(connection.execute, str(path)), runs, epochs_from)


def read_server_database(
    address: str, runs: Sequence[str] | None = None, epochs_from: int | None = None
) -> Records:
    """Return the frames of MLflow's tables in a database server, such as `postgresql://user@host/name`.

    Raises `StoreError` when its driver is not installed or it cannot be reached.
    """
    with _engine_query(address) as query:
        return read(query, runs, epochs_from)


@contextmanager
def _engine_query(address: str) -> Iterator[Query]:
    import sqlalchemy

    shown = sqlalchemy.make_url(address).render_as_string(hide_password=True)
    if address.startswith("postgresql://"):
        address = address.replace("postgresql://", "postgresql+psycopg2://", 1)
    try:
        patience = {"connect_timeout": CONNECT_SECONDS} if address.startswith("postgresql") else {}
        engine = sqlalchemy.create_engine(address, connect_args=patience)
        # A cursor of the server: the client's usual one would fetch all values before the first of them is seen.
        with engine.connect().execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS) as connection:
            yield Query(connection.exec_driver_sql, shown)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"its driver {error.name} is missing", where=shown, do="install workbench[postgres]"
        ) from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise StoreError(f"cannot be read: {str(error).splitlines()[0]}", where=shown) from error


def read(query: Query, runs: Sequence[str] | None = None, epochs_from: int | None = None) -> Records:
    """Return the frames of what `query` reaches: three small tables, then the values."""
    rows, ids = _runs(query, runs)
    ids_of = {mlflow_id: code for code, mlflow_id in enumerate(ids)}
    columns = _metrics(query, ids_of, everything=runs is None)
    declare_sets(columns["names"])
    stages = [stages_of(row) for row in rows]
    notes = Notes(query.origin)
    if not rows:
        notes.add("the store holds no run")
    frame = run_frame([{name: value for name, value in row.items() if name != TAG_RUN} for row in rows])
    ours = np.array([bool(row.get(TAG_RUN)) for row in rows], dtype=bool)
    if not ours.all():
        columns = _with_epochs(columns, ours, notes, epochs_from)
    epochs = _epochs(columns, frame["run"].tolist(), stages, query.origin)
    return Records(frame, epochs, tuple(notes.all()))


def _with_epochs(
    columns: dict[str, Any], ours: np.ndarray, notes: Notes, epochs_from: int | None
) -> dict[str, Any]:
    """Return the columns with epochs in the place of other programs' steps; our own steps are epochs already.

    `step` and `kind` are added, and rows left out that only say which epoch it was.
    """
    run, steps = columns["run"], columns["epoch"]
    order = np.argsort(run, kind="stable")
    ends = np.searchsorted(run[order], np.arange(len(ours) + 1))
    step, kind = np.full(len(run), -1, "int64"), np.zeros(len(run), "int8")
    epochs, keep = steps.astype("int64"), np.ones(len(run), dtype=bool)
    for code in np.flatnonzero(~ours).tolist():
        rows = order[ends[code] : ends[code + 1]]
        by_metric = {
            columns["names"][metric]: rows[columns["metric"][rows] == metric]
            for metric in np.unique(columns["metric"][rows]).tolist()
        }
        points = {name: (steps[own], columns["value"][own]) for name, own in by_metric.items()}
        how = steps_as_epochs(points, notes, epochs_from)
        for name, own in by_metric.items():
            keep[own] = name not in how.left_out
            epochs[own] = how.of(name, steps[own])
            kind[own] = KINDS.index(how.kind_of(name))
            if how.kind == INFERRED or how.left_out:
                step[own] = steps[own]
    epochs = epochs.astype("int32") if epochs.max(initial=0) <= LARGEST_EPOCH else epochs
    found = {**columns, "epoch": epochs, "step": step, "kind": kind}
    return {name: column if name == "names" else column[keep] for name, column in found.items()}


def _runs(query: Query, wanted: Sequence[str] | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the facts and settings of the wanted runs, and their MLflow ids in the same order."""
    tags, parameters = _by_run(query, "tags"), _by_run(query, "params")
    rows, ids = [], []
    chosen = None if wanted is None else set(wanted)
    for run_id, study, name, status, started, ended in query.rows(RUNS):
        own_tags = tags.get(run_id, {})
        if is_sweep(own_tags):
            continue
        facts = facts_of(own_tags, run_id, name or "", query.origin, status or "")
        if chosen is not None and facts["run"] not in chosen and run_id not in chosen:
            continue
        facts["study"] = facts["study"] or study
        facts |= times_of(started, ended)
        settings = {key: parse_parameter(value) for key, value in parameters.get(run_id, {}).items()}
        declare_recorded(settings, own_tags)
        rows.append({TAG_RUN: own_tags.get(TAG_RUN), **facts, **as_columns(settings, facts)})
        ids.append(run_id)
    missing = set(wanted or ()) - {row["run"] for row in rows} - set(ids)
    if missing:
        raise RecordError(f"no run {sorted(missing)[0]!r}", where=query.origin, do="see `workbench list`")
    return rows, ids


def _by_run(query: Query, table: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run, key, value in query.rows(f"SELECT run_uuid, key, value FROM {table} ORDER BY key"):
        found.setdefault(run, {})[key] = value
    return found


def _metrics(query: Query, ids: dict[str, int], everything: bool) -> dict[str, Any]:
    """Return run codes, metric codes and names, values and steps of the wanted runs' metrics."""
    text = METRICS
    if not everything and len(ids) <= MOST_SELECTED:
        # Ids become part of the query's text: MLflow's are letters and digits, anything else could be SQL.
        text += " WHERE run_uuid IN ({})".format(
            ", ".join(f"'{run}'" for run in ids if run.isalnum()) or "''"
        )
    names: dict[str, int] = _Codes()
    parts: list[tuple[np.ndarray, ...]] = []
    for rows in query.chunks(text):
        size = len(rows)
        run, key, value, step, is_nan = zip(*rows, strict=True)
        values = np.fromiter(value, "float64", size)
        if any(is_nan):
            values[np.fromiter(is_nan, bool, size)] = np.nan
        run_codes = np.fromiter(map(ids.get, run, repeat(-1)), "int32", size)
        parts.append(
            (
                run_codes,
                np.fromiter(map(names.__getitem__, key), "int16", size),
                with_infinity(values),
                np.fromiter(step, "int64", size),
            )
        )
    empty = [np.empty(0, "int32")] * 4
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else empty
    # Half the memory of millions of rows; steps of other programs may be milliseconds, which need the other half.
    if joined[3].size and joined[3].max() <= LARGEST_EPOCH:
        joined[3] = joined[3].astype("int32")
    derived = [code for name, code in names.items() if is_derived(name)]
    if derived:
        joined = [column[~np.isin(joined[1], derived)] for column in joined]
    if joined[0].size and joined[0].min() < 0:  # values of deleted or unwanted runs
        joined = [column[joined[0] >= 0] for column in joined]
    return dict(zip(("run", "metric", "value", "epoch"), joined, strict=True), names=list(names))


class _Codes(dict[str, int]):
    """A dict that gives each new text the next number."""

    def __missing__(self, key: str) -> int:
        self[key] = len(self)
        return self[key]


def _epochs(
    columns: dict[str, Any],
    runs: list[str],
    stages: list[list[tuple[str, int]]],
    origin: str,
) -> pd.DataFrame:
    run, epoch, names = columns["run"], columns["epoch"], columns["names"]
    stage, stage_epoch = _stages(run, columns["metric"], columns["value"], epoch, names, len(runs))
    size = len(run)
    found: dict[str, Any] = {
        "run": pd.Categorical.from_codes(run, categories=runs),
        "attempt": np.ones(size, "int32"),
        "stage": stage,
        "stage_name": _stage_names(run, stage, stages),
        "stage_epoch": stage_epoch,
        "epoch": epoch,
        "step": optional_int(columns.get("step", np.full(size, -1))),
        "metric": pd.Categorical.from_codes(columns["metric"], categories=names),
        "value": columns["value"],
        "kind": pd.Categorical.from_codes(columns.get("kind", np.zeros(size, "int8")), list(KINDS)),
        "file": pd.Categorical.from_codes(np.zeros(size, "int8"), categories=[origin]),
        "line": optional_int(np.full(size, -1)),
    }
    return pd.DataFrame({name: found[name] for name in EPOCH_COLUMNS}, copy=False)


def _stages(
    run: np.ndarray, metric: np.ndarray, value: np.ndarray, epoch: np.ndarray, names: list[str], runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return stage and epoch within it of every row, from the metric `stage`; 1 where there is none."""
    if STAGE not in names or not len(run):
        return np.ones(len(run), "int32"), epoch
    rows = metric == names.index(STAGE)
    width = int(epoch[rows].max()) + 1  # other programs' steps may go far beyond: they have no stages
    number = np.zeros((runs, width), "int32")  # by run and epoch; epochs without a value keep the one before
    number[run[rows], epoch[rows]] = value[rows].astype("int32")
    np.maximum.accumulate(number, axis=1, out=number)
    number[number == 0] = 1
    before = np.zeros((runs, width), "int32")  # the last epoch before the stage began
    changes = np.diff(number, axis=1) > 0
    before[:, 1:] = np.where(changes, np.arange(width - 1, dtype="int32"), 0)
    np.maximum.accumulate(before, axis=1, out=before)
    flat = run.astype("int64") * width + np.minimum(epoch, width - 1)
    return number.ravel()[flat], epoch - before.ravel()[flat]


def _stage_names(
    run: np.ndarray, stage: np.ndarray, stages: Iterable[list[tuple[str, int]]]
) -> pd.Categorical:
    known = [[name for name, _ in own] for own in stages]
    categories = list(dict.fromkeys(["", *(name for own in known for name in own)]))
    if len(categories) == 1:
        return pd.Categorical.from_codes(np.zeros(len(run), "int8"), categories=categories)
    width = max(int(stage.max(initial=1)), *map(len, known)) + 1
    code = {name: number for number, name in enumerate(categories)}
    by_stage = np.zeros((len(known), width), "int16")
    for number, own in enumerate(known):
        by_stage[number, 1 : len(own) + 1] = [code[name] for name in own]
    return pd.Categorical.from_codes(by_stage[run, stage], categories=categories)
