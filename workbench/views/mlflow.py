"""Syncs a run in MLflow with its journal: same rows, each step once, nothing behind its back.

Everything goes through `MlflowClient`. What the server already holds is asked once, when a run is
opened; after that only differences are sent. Metric time stamps come from the journal, so that a
row sent twice (a request that timed out, yet arrived) is one row to MLflow, and a superseded row is
recognised by its time.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import names
from workbench.errors import StoreError
from workbench.files import link_or_copy, replacing
from workbench.security.foreign_files import files_below, is_below, without_links
from workbench.tracking import logged_models
from workbench.tracking.journal import Journal
from workbench.tracking.mlflow_client import open_client
from workbench.tracking.reader_notes import read_notes
from workbench.tracking.rows import EpochRecord, StartRecord, plain
from workbench.tracking.store import Store
from workbench.views.mlflow_models import ModelSender
from workbench.views.mlflow_page import dataset_inputs, description, run_name
from workbench.views.mlflow_sweeps import TAG_NESTED, TAG_WINNER, mark_trials, winner_tags
from workbench.views.mlflow_values import (
    CUT_MARK,
    HIDDEN_PREFIX,
    LONGEST_TAG,
    TAG_REASON,
    batched,
    best_so_far,
    folder_state,
    metric_batches,
    metric_keys,
    milliseconds,
    parameter_texts,
    safe_name,
    wanted_tags,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_ITEMS = 100  # MLflow's limit for the parameters, and for the tags, of one log_batch
ARTIFACTS = "artifacts"  # MLflow's own name of the folder of a run's files
TAG_FILES = HIDDEN_PREFIX + "files"
TAG_NOTE = "mlflow.note.content"  # MLflow's own tag: the description of a run
TAG_DATASETS = HIDDEN_PREFIX + "datasets"  # how many inputs were logged
TAG_MODELS = HIDDEN_PREFIX + "models"
TAG_READER = HIDDEN_PREFIX + "reader"  # the keys of the tags that readers gave
NOTE = "note"  # how MLflow's column of a reader's note is called
TAG_SUPERSEDED = names.TAG_PREFIX + "superseded"
ONCE_SHOWN = (
    TAG_FILES,
    TAG_DATASETS,
    TAG_MODELS,
    TAG_READER,
)  # as `workbench.files` and so on, in older stores
_MLFLOW_STATUS = {names.RUNNING: "RUNNING", names.FINISHED: "FINISHED", names.FAILED: "FAILED"}


class MlflowView:
    """One run in MLflow. `sync` may be called again and again, from one thread at a time."""

    name = "MLflow"

    def __init__(
        self,
        store: Store,
        client: MlflowClient | None = None,
        *,
        fresh: bool = False,
        revive: bool = True,
        studies: dict[str, str] | None = None,
    ) -> None:
        """Nothing is opened yet. `fresh` promises that the store holds nothing of this run, which
        saves the asking; `revive` brings back a run that was deleted in MLflow's pages (a resumed
        run), else it is left alone; `studies` (name: id) is shared by views of one client."""
        self.store = store
        self.address = str(store.database) if store.is_local else store.uri
        self.run_id = ""
        self.changes = 0
        self._given = client
        self._fresh, self._revive = fresh, revive
        self._studies = {} if studies is None else studies
        self.place: Path | None = None  # the folder of a local run
        self.model_places: list[Path] = []  # the folders of its models there
        self._experiment = ""
        self._logged: dict[int, int] = {}  # step: time stamp in milliseconds
        self._tags: dict[str, str] = {}
        self._parameters: set[str] = set()
        self._status = ""

    @functools.cached_property
    def _client(self) -> MlflowClient:
        """The client, opened at the first sync: a store that is away then is tried again at the next row."""
        return self._given or open_client(self.store)

    def sync(self, journal: Journal, rows: list[EpochRecord], status: str) -> None:
        """Make MLflow show `rows` (accepted epochs) and the run's settings, files and status."""
        start = journal.starts[0]
        with contextlib.ExitStack() as failing:
            failing.callback(self._forget)
            if self.run_id or self._open(journal, start, status):
                self._send(journal, start, rows, status)
            failing.pop_all()

    def _forget(self) -> None:
        """After a failure: what arrived is unknown, so the server is asked again before the next row."""
        self.run_id = ""

    def close(self) -> None:
        """Nothing is held between calls."""

    def _send(self, journal: Journal, start: StartRecord, rows: list[EpochRecord], status: str) -> None:
        # Settings before values, the status last: a run that shows as ended shows all that it has.
        if status == names.RUNNING and self._status != "RUNNING":
            self._set_status("RUNNING", None)
        self._send_parameters(journal)
        self._send_metrics(rows, best_so_far(rows, start.tags.get(names.TAG_OBJECTIVE)))
        self._nest(start)
        self._send_page(start)
        self._send_files(journal.run)
        if status != names.RUNNING:  # a model may be there before the rows that tell its values
            self._send_models(start, rows)
        self._send_tags({**wanted_tags(journal, start, status), **self._winner(start)})
        self._send_reader_tags(journal.run)
        # Complete as far as its trial goes.
        paused = status == names.STOPPED and names.TAG_SWEEP in start.tags
        self._set_status("FINISHED" if paused else _MLFLOW_STATUS.get(status, "KILLED"), journal)

    def _open(self, journal: Journal, start: StartRecord, status: str) -> bool:
        """Find or create the run in MLflow; False when it was deleted there and is to stay so."""
        client, self._logged = self._client, {}
        study = self._study(start.study)
        found = None if self._fresh else self._find(journal.run, study)
        if found is not None and found.info.lifecycle_stage == "deleted":
            if not self._revive:
                return False
            client.restore_run(found.info.run_id)
        # MLflow takes no value back: a run that shows superseded epochs is deleted and written anew. Marked before
        # it is deleted, for one that a person deleted is brought back.
        if found is not None and self._is_superseded(found.info.run_id, journal):
            client.set_tag(found.info.run_id, TAG_SUPERSEDED, "true")
            client.delete_run(found.info.run_id)
            found = None
        if found is None:
            self.changes += 1
            self._logged, moment = {}, milliseconds(start.time)
            tags = wanted_tags(journal, start, status)
            found = client.create_run(study, start_time=moment, tags=tags, run_name=run_name(start))
        self._fresh = False
        self._tags, self._parameters = dict(found.data.tags), set(found.data.params)
        self._status, self.run_id = found.info.status, found.info.run_id
        self._experiment = found.info.experiment_id
        self._hide_tags()
        if self.store.is_local:
            self.place = Path(found.info.artifact_uri.removeprefix("file://")).parent
        return True

    def _hide_tags(self) -> None:
        """Give tags for the program alone the names that MLflow's pages hide, where an older version wrote them."""
        for tag in ONCE_SHOWN:
            shown = tag.replace(HIDDEN_PREFIX, names.TAG_PREFIX)
            if shown in self._tags:
                self._send_tags({tag: self._tags[shown]})
                self._delete_tag(shown)

    def _study(self, study: str) -> str:
        """Return the id of the MLflow experiment named after the study, made when it is not there."""
        name = study or "default"
        if name not in self._studies:
            self._studies[name] = self._find_study(name)
        return self._studies[name]

    def _find_study(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

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

    def _find(self, run: str, study: str) -> Any:
        """Return the run that carries our name: an active one, else one that a user deleted."""
        from mlflow.entities import ViewType

        query = f"tags.`{names.TAG_RUN}` = '{run}'"
        found = self._client.search_runs([study], query, run_view_type=ViewType.ALL)
        active = [row for row in found if row.info.lifecycle_stage == "active"]
        deleted = [row for row in found if row not in active and TAG_SUPERSEDED not in row.data.tags]
        return next(iter(active or deleted), None)

    def _is_superseded(self, run_id: str, journal: Journal) -> bool:
        """Tell whether MLflow shows an epoch that the journal has since replaced by another."""
        self._logged = {
            point.step: point.timestamp for point in self._client.get_metric_history(run_id, names.STAGE)
        }
        accepted = {row.epoch: milliseconds(row.time) for row in journal.accepted()}
        # A damaged journal may have lost a row: then what MLflow holds of it is all there is.
        compared = self._logged.keys() & accepted.keys() if journal.damage else self._logged.keys()
        return any(accepted.get(step) != self._logged[step] for step in compared)

    def _send_parameters(self, journal: Journal) -> None:
        from mlflow.entities import Param

        wanted = {
            key: value for start in journal.starts for key, value in parameter_texts(start.parameters).items()
        }
        # By key: MLflow refuses another value of a parameter that is there.
        new = {key: value for key, value in wanted.items() if key not in self._parameters}
        if not new:
            return
        if any(value.endswith(CUT_MARK) for value in new.values()):
            self._client.log_dict(self.run_id, plain(dict(journal.starts[0].parameters)), "parameters.json")
        self.changes += 1
        for part in batched(sorted(new.items()), BATCH_ITEMS):
            self._client.log_batch(self.run_id, params=[Param(key, value) for key, value in part])
        self._parameters |= set(new)

    def _send_page(self, start: StartRecord) -> None:
        """Send the description and the data once; what a reader wrote into the description since then stays."""
        if TAG_DATASETS not in self._tags:
            inputs = list(dataset_inputs(start))
            if inputs:
                self.changes += 1
                self._client.log_inputs(self.run_id, datasets=inputs)
            self._send_tags({TAG_DATASETS: str(len(inputs))})
        if TAG_NOTE not in self._tags:
            path = self.store.run_artifacts(start.run) / "spec.py"
            text = description(
                start, path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
            )
            if text:
                self._send_tags({TAG_NOTE: text[:LONGEST_TAG]})

    def _nest(self, start: StartRecord) -> None:
        """Put a sweep's trial under the sweep in MLflow's pages, as soon as MLflow knows the sweep."""
        if names.TAG_SWEEP not in start.tags or not start.parent or TAG_NESTED in self._tags:
            return
        parent = self._find(start.parent, self._study(start.study))
        if parent is not None:
            self._send_tags({TAG_NESTED: parent.info.run_id})

    def _winner(self, start: StartRecord) -> dict[str, str]:
        """Return the mark of a winner for this run; a sweep marks its trials, whose best is known with its end."""
        found = winner_tags(self.store, start)
        if start.tags.get(names.TAG_KIND) == names.SWEEP:
            self.changes += mark_trials(self._client, self.store, start, self.run_id, self._experiment)
        elif TAG_WINNER in self._tags and TAG_WINNER not in found:
            self._delete_tag(TAG_WINNER)
        return found

    def _send_metrics(self, rows: list[EpochRecord], best: dict[int, dict[str, float]]) -> None:
        new = [row for row in rows if row.epoch not in self._logged]
        keys = metric_keys([*row.metrics, *best.get(row.epoch, {})] for row in rows)
        for batch in metric_batches(new, best, keys):
            self.changes += 1
            self._client.log_batch(self.run_id, metrics=batch)
        self._logged.update({row.epoch: milliseconds(row.time) for row in new})

    def _send_files(self, run: str) -> None:
        folder = self.store.run_artifacts(run)
        state = folder_state(folder)
        if not state or state == self._tags.get(TAG_FILES):
            return
        self._require_place()
        with without_links(folder) as clean:
            if self.place is None:
                self._client.log_artifacts(self.run_id, str(clean))
            else:  # here a second name does: an import of large artifacts would otherwise lie here twice
                for file in files_below(clean):
                    # Aside beside the folder: MLflow lists what lies within as the artifacts of the run.
                    with replacing(self.place / ARTIFACTS / file, temporary_in=self.place) as temporary:
                        link_or_copy(clean / file, temporary)
        self._send_tags({TAG_FILES: state})

    def _send_models(self, start: StartRecord, rows: list[EpochRecord]) -> None:
        if not logged_models.names(self.store, start.run):
            return
        state = folder_state(logged_models.folder(self.store, start.run))
        if state == self._tags.get(TAG_MODELS):
            return
        self._require_place()
        sender = ModelSender(self._client, self.store, self.run_id, self._experiment)
        try:
            self.changes += sender.send(start, rows)
        finally:
            self.model_places += sender.places
        self._send_tags({TAG_MODELS: state})

    def _require_place(self) -> None:
        """Refuse to write artifacts into the folder that a moved project was in before."""
        if self.place is not None and not is_below(self.place, self.store.root):
            raise StoreError(
                f"its artifacts belong to {self.place}",
                where=self.store.database,
                expected="a place in this store",
                do="the project was moved: `workbench rebuild` makes the records anew here",
            )

    def _send_tags(self, wanted: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        new = [(key, value) for key, value in wanted.items() if self._tags.get(key) != value]
        for part in batched(new, BATCH_ITEMS):
            self.changes += 1
            self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in part])
        self._tags.update(new)
        if names.TAG_STATUS in wanted and TAG_REASON in self._tags and TAG_REASON not in wanted:
            self._delete_tag(TAG_REASON)  # the run was resumed

    def _delete_tag(self, key: str) -> None:
        self._client.delete_tag(self.run_id, key)
        del self._tags[key]

    def _send_reader_tags(self, run: str) -> None:
        """Show the note and the tags that readers gave the run, and take away those that they took off."""
        notes = read_notes(self.store, run)
        wanted = {key: value or "yes" for key, value in notes.tags.items()}
        wanted |= {NOTE: notes.note} if notes.note else {}
        before = [key for key in self._tags.get(TAG_READER, "").split(", ") if key]
        for key in before:
            if key not in wanted and key in self._tags:
                self._delete_tag(key)
                self.changes += 1
        if wanted or before:
            self._send_tags({**wanted, TAG_READER: ", ".join(wanted)})

    def _set_status(self, status: str, journal: Journal | None) -> None:
        if status == self._status:
            return
        self.changes += 1
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            # The journal's last moment, not now: a sync a week later must not make the run a week longer.
            last = max((row.time for row in journal.rows), default=0.0) if journal else 0.0
            self._client.set_terminated(self.run_id, status, milliseconds(last))
        self._status = status
