"""Brings a run in MLflow level with its journal: same rows, each step once, nothing behind its back.

Everything goes through `MlflowClient`. What the server already holds is asked once, when a run is
opened; after that only differences are sent. Metric time stamps come from the journal, so that a
row sent twice (a request that timed out, yet arrived) is one row to MLflow, and a superseded row is
recognised by its time.
"""

from __future__ import annotations

import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import StoreError
from workbench.names import (
    FAILED,
    FINISHED,
    RUNNING,
    STAGE,
    TAG_ID,
    TAG_PARENT,
    TAG_PREFIX,
    TAG_QUICK,
    TAG_RUN,
    TAG_SEED,
    TAG_STATUS,
    TAG_STUDY,
)
from workbench.tracking.journal import Journal
from workbench.tracking.locks import lock
from workbench.tracking.records import EpochRecord, StartRecord, plain
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

BATCH_METRICS = 1000  # MLflow's limit for one log_batch
BATCH_ITEMS = 100  # its limit for parameters and for tags
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
CUT_MARK = " ... (cut; whole in parameters.json)"
SCHEMA_PATIENCE = 120.0
TAG_REASON = TAG_PREFIX + "reason"
TAG_ATTEMPTS = TAG_PREFIX + "attempts"
TAG_FILES = TAG_PREFIX + "files"
TAG_SUPERSEDED = TAG_PREFIX + "superseded"
_MLFLOW_STATUS = {RUNNING: "RUNNING", FINISHED: "FINISHED", FAILED: "FAILED"}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def quiet_mlflow() -> None:
    """Set MLflow's environment: no telemetry, short time-outs, no log lines. Call before its import."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def open_client(store: Store) -> MlflowClient:
    """Return a client of the store; a local database that is not there yet is made first."""
    quiet_mlflow()
    if store.is_local:
        create_database(store.database)
    from mlflow import MlflowClient

    quiet_mlflow()  # the import sets the level of its logger anew
    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


def create_database(path: Path) -> None:
    """Make MLflow's SQLite database at `path` unless it is there; eight processes make it once.

    It is made aside and renamed, so that no other process ever opens a half-made schema.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_suffix(".lock"), patience=SCHEMA_PATIENCE, why="the database is being made"):
        if not path.exists():
            aside = path.with_name(f"mlflow.new-{os.getpid()}.db")
            aside.unlink(missing_ok=True)
            migrate(aside, path.parent / "artifacts")
            aside.rename(path)


def migrate(path: Path, artifacts: Path) -> None:
    """Make an empty database of MLflow's newest schema at `path` (about 2 s)."""
    quiet_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    quiet_mlflow()
    store = SqlAlchemyStore(f"sqlite:///{path}", str(artifacts))
    store.engine.dispose()


class MlflowView:
    """One run in MLflow. `level` may be called again and again, from one thread at a time."""

    name = "MLflow"

    def __init__(self, store: Store, client: MlflowClient | None = None, *, fresh: bool = False) -> None:
        """`fresh` promises that the store holds nothing of this run, which saves the asking."""
        self.store = store
        self.address = str(store.database) if store.is_local else store.uri
        self.run_id = ""
        self._client = client
        self._fresh = fresh
        self._logged: dict[int, int] = {}  # step: time stamp in milliseconds
        self._tags: dict[str, str] = {}
        self._parameters: set[str] = set()
        self._status = ""

    def level(self, journal: Journal, rows: list[EpochRecord], status: str) -> None:
        """Make MLflow show `rows` (accepted epochs) and the run's settings, files and status."""
        start = journal.start
        if start is None:
            raise StoreError("no start row is intact", where=journal.path)
        if not self.run_id:
            self._open(journal, start)
        try:
            self._send(journal, start, rows, status)
        except Exception:
            self.run_id = ""  # what arrived is unknown: ask again before the next row
            raise

    def close(self) -> None:
        """Nothing is held between calls."""

    def _send(self, journal: Journal, start: StartRecord, rows: list[EpochRecord], status: str) -> None:
        if status == RUNNING and self._status != "RUNNING":
            self._set_status("RUNNING", None)
        self._send_parameters(journal)
        self._send_metrics(rows)
        self._send_files(journal.run)
        self._send_tags(wanted_tags(journal, start, status))
        self._set_status(_MLFLOW_STATUS.get(status, "KILLED"), journal)

    def _open(self, journal: Journal, start: StartRecord) -> None:
        if self._client is None:
            self._client = open_client(self.store)
        experiment = self._experiment(start.study)
        found = None if self._fresh else self._find(journal.run, experiment)
        if found is not None and self._is_superseded(found.info.run_id, journal):
            self._client.set_tag(found.info.run_id, TAG_SUPERSEDED, "true")
            self._client.delete_run(found.info.run_id)
            found = None
        if found is None:
            found = self._client.create_run(
                experiment,
                start_time=milliseconds(start.time),
                tags=_first(wanted_tags(journal, start, RUNNING), BATCH_ITEMS),
                run_name=start.name or start.run,
            )
            self._logged = {}
        self._fresh = False
        self._tags, self._parameters = dict(found.data.tags), set(found.data.params)
        self._status, self.run_id = found.info.status, found.info.run_id

    def _experiment(self, study: str) -> str:
        assert self._client is not None
        from mlflow.exceptions import MlflowException

        name = study or "default"
        known = self._client.get_experiment_by_name(name)
        if known is None:
            place = str(self.store.artifacts / safe_name(name)) if self.store.is_local else None
            try:
                return str(self._client.create_experiment(name, artifact_location=place))
            except MlflowException:  # another process was quicker
                known = self._client.get_experiment_by_name(name)
                if known is None:
                    raise
        if known.lifecycle_stage == "deleted":
            self._client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _find(self, run: str, experiment: str) -> Any:
        assert self._client is not None
        query = f"tags.`{TAG_RUN}` = '{run}'"
        found = self._client.search_runs([experiment], query, run_view_type=1, max_results=1)
        return found[0] if found else None

    def _is_superseded(self, run_id: str, journal: Journal) -> bool:
        """Tell whether MLflow shows an epoch that the journal has since replaced by another."""
        assert self._client is not None
        self._logged = {
            point.step: point.timestamp for point in self._client.get_metric_history(run_id, STAGE)
        }
        accepted = {row.epoch: milliseconds(row.time) for row in journal.accepted()}
        for step, moment in self._logged.items():
            if step not in accepted and journal.damage:
                continue  # the journal lost this row: what MLflow holds is all there is
            if accepted.get(step) != moment:
                return True
        return False

    def _send_parameters(self, journal: Journal) -> None:
        assert self._client is not None
        from mlflow.entities import Param

        wanted = {
            key: value for start in journal.starts for key, value in parameter_texts(start.parameters).items()
        }
        new = {key: value for key, value in wanted.items() if key not in self._parameters}
        if not new:
            return
        if any(value.endswith(CUT_MARK) for value in new.values()):
            self._client.log_dict(self.run_id, plain(dict(journal.starts[0].parameters)), "parameters.json")
        for part in _parts(sorted(new.items()), BATCH_ITEMS):
            self._client.log_batch(self.run_id, params=[Param(key, value) for key, value in part])
        self._parameters |= set(new)

    def _send_metrics(self, rows: list[EpochRecord]) -> None:
        assert self._client is not None
        new = [row for row in rows if row.epoch not in self._logged]
        for batch in _batches(new):
            self._client.log_batch(self.run_id, metrics=batch)
        self._logged.update({row.epoch: milliseconds(row.time) for row in new})

    def _send_files(self, run: str) -> None:
        assert self._client is not None
        folder = self.store.run_artifacts(run)
        state = folder_state(folder)
        if not state or state == self._tags.get(TAG_FILES):
            return
        self._require_place()
        self._client.log_artifacts(self.run_id, str(folder))
        self._send_tags({TAG_FILES: state})

    def _require_place(self) -> None:
        """Refuse to write artifacts into the folder that a moved project was in before."""
        assert self._client is not None
        if not self.store.is_local:
            return
        place = Path(self._client.get_run(self.run_id).info.artifact_uri.removeprefix("file://"))
        if not place.is_relative_to(self.store.root):
            raise StoreError(
                f"its artifacts belong to {place}",
                where=self.store.database,
                expected="a place in this store",
                do="the project was moved: `workbench rebuild` makes the records anew here",
            )

    def _send_tags(self, wanted: Mapping[str, str]) -> None:
        assert self._client is not None
        from mlflow.entities import RunTag

        new = [(key, value) for key, value in wanted.items() if self._tags.get(key) != value]
        for part in _parts(new, BATCH_ITEMS):
            self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in part])
        self._tags.update(new)
        if TAG_STATUS in wanted and TAG_REASON in self._tags and TAG_REASON not in wanted:
            self._client.delete_tag(self.run_id, TAG_REASON)  # the run was resumed
            del self._tags[TAG_REASON]

    def _set_status(self, status: str, journal: Journal | None) -> None:
        assert self._client is not None
        if status == self._status:
            return
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            last = max((row.time for row in journal.rows), default=0.0) if journal else 0.0
            self._client.set_terminated(self.run_id, status, milliseconds(last))
        self._status = status


def wanted_tags(journal: Journal, start: StartRecord, status: str) -> dict[str, str]:
    """Return the tags that the run should have, ours and those MLflow's pages know."""
    facts = journal.starts[-1].provenance
    tags = {
        TAG_RUN: journal.run,
        TAG_ID: start.id,
        TAG_STUDY: start.study,
        TAG_SEED: str(start.seed),
        TAG_QUICK: "true" if start.quick else "false",
        TAG_STATUS: status,
        TAG_ATTEMPTS: str(journal.attempt),
    }
    if start.parent:
        tags[TAG_PARENT] = start.parent
    if journal.end and journal.end.reason:
        tags[TAG_REASON] = journal.end.reason
    for key, fact in (("user", "user"), ("source.name", "spec_file"), ("source.git.commit", "commit")):
        if facts.get(fact):
            tags[f"mlflow.{key}"] = str(facts[fact])
    tags.update({safe_key(key): str(value) for key, value in journal.starts[-1].tags.items()})
    return {key: value[:LONGEST_TAG] for key, value in tags.items()}


def parameter_texts(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as MLflow keeps them: texts, `true` and `false`, long ones cut with a mark."""
    texts = {}
    for key, value in parameters.items():
        if value is None:
            continue  # a setting that is off is absent
        text = ("true" if value else "false") if isinstance(value, bool) else str(plain(value))
        if len(text) > LONGEST_PARAMETER:
            text = text[: LONGEST_PARAMETER - len(CUT_MARK)] + CUT_MARK
        texts[safe_key(key)] = text
    return texts


def safe_key(name: str) -> str:
    """Return `name` with each character that MLflow refuses in a key replaced by an underscore."""
    return re.sub(r"[^\w\-.:/ ]", "_", name, flags=re.ASCII)[:250]


def safe_name(name: str) -> str:
    """Return `name` as one part of a path."""
    return re.sub(r"[^\w\-.+=]", "_", name, flags=re.ASCII).strip(".")[:100] or "_"


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def folder_state(folder: Path) -> str:
    """Return a short text that changes when a file in `folder` is added or changed; "" for no files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    facts = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files
    ]
    return f"{len(facts)} files, {zlib.crc32(repr(facts).encode()):08x}" if facts else ""


def _batches(rows: Iterable[EpochRecord]) -> Iterator[list[Metric]]:
    """Yield the metrics of whole epochs in batches; the `stage` of an epoch, which marks it as
    logged, is the last of its values, so that an epoch cut by an error is sent again."""
    from mlflow.entities import Metric

    batch: list[Metric] = []
    for row in rows:
        moment = milliseconds(row.time)
        values = {name: value for name, value in row.metrics.items() if name != STAGE}
        values[STAGE] = float(row.stage)
        if batch and len(batch) + len(values) > BATCH_METRICS:
            yield batch
            batch = []
        batch += [Metric(safe_key(key), float(value), moment, row.epoch) for key, value in values.items()]
    yield from _parts(batch, BATCH_METRICS)


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _first(tags: dict[str, str], count: int) -> dict[str, str]:
    return dict(list(tags.items())[:count])
