"""Registered models: what `workbench export --register` noted, brought to MLflow's registry.

Versions count in the order in which they were asked for, over all runs of a store, so they are made in one pass over
all notes. A version that a person deleted in MLflow stays deleted; one whose database was lost is made again, with its
number.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.names import TAG_PREFIX, TAG_RUN
from workbench.tracking import logged_models
from workbench.tracking.journal import first_start
from workbench.tracking.logged_models import Registration
from workbench.tracking.store import Store
from workbench.tracking.sync_thread import reason
from workbench.views.mlflow_models import tell_registered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

TAG_TIME = TAG_PREFIX + "registered"  # of a version: the moment of its note, which tells it from others
MOST_GAPS = 1000  # versions that a person deleted; a damaged note must not make a million of them


@dataclass
class Registry:
    """The registry of one MLflow, and what is known of it meanwhile."""

    client: MlflowClient
    store: Store

    def register_all(self) -> dict[str, str]:
        """Make every version that is noted and not there; return the runs of which one cannot be made, and why.

        A run not yet in MLflow waits.
        """
        from mlflow.exceptions import MlflowException

        notes, failed = logged_models.all_registrations(self.store)
        for note in notes:
            model = self._model(note)
            if model is None or model.model_id == note.model_id:
                continue  # not there yet, or registered before
            try:
                # Noted at once: a kill after MLflow's answer makes the version be found by its time, not made twice.
                logged_models.keep(self.store, self._register(note, model))
            except MlflowException as error:  # a name of another machine that it does not take
                self.client.search_experiments(max_results=1)  # raises where it is away: all the others wait
                failed[note.run] = f"cannot be registered as {note.name!r}: {reason(error)}"
        return failed

    def _model(self, note: Registration) -> LoggedModel | None:
        """Return the logged model of a note, None while MLflow does not have it."""
        start = first_start(self.store.journal(note.run))
        study = self.client.get_experiment_by_name(start.study or "default") if start else None
        if study is None:
            return None
        query = f"tags.`{TAG_RUN}` = '{note.run}'"
        for run in self.client.search_runs([study.experiment_id], query):
            words = f"source_run_id = '{run.info.run_id}'"
            for model in self.client.search_logged_models([study.experiment_id], filter_string=words):
                if model.name == note.model and str(model.status) == "READY":
                    return model
        return None

    def _register(self, note: Registration, model: LoggedModel) -> Registration:
        known = self._known(note)
        version = next((row for row in known if row.tags.get(TAG_TIME) == repr(note.time)), None)
        if version is None:
            self._fill_gap(note, max((int(row.version) for row in known), default=0))
            version = self._create(note, model)
            tell_registered(self.client, model.model_id, note.name, version.version)
        if note.alias:
            self.client.set_registered_model_alias(note.name, note.alias, version.version)
        return dataclasses.replace(note, version=int(version.version), model_id=model.model_id)

    def _known(self, note: Registration) -> list[Any]:
        """Return the versions of the registered model, which is made where it is not there."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it exists, or another process was quicker
            self.client.create_registered_model(note.name)
        return list(self.client.search_model_versions(f"name = '{note.name}'"))

    def _create(self, note: Registration, model: LoggedModel) -> Any:
        start = first_start(self.store.journal(note.run))
        # A local database asks its process's own MLflow, not this client's, for a `models:/` address.
        source = model.artifact_location if self.store.is_local else f"models:/{model.model_id}"
        return self.client.create_model_version(
            note.name,
            source,
            run_id=model.source_run_id,
            tags={TAG_RUN: note.run, TAG_TIME: repr(note.time)},
            description=f"{note.model} of run {start.title if start else note.run} ({note.run})",
            model_id=model.model_id,
        )

    def _fill_gap(self, note: Registration, last: int) -> None:
        """Make and delete the versions between `last` and the number that the note had in a lost database."""
        for _ in range(last + 1, min(note.version, last + MOST_GAPS)):
            empty = self.client.create_model_version(note.name, source="none:/", run_id=None)
            self.client.delete_model_version(note.name, empty.version)
