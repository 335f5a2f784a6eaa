"""Logged models in MLflow: each model beside a run's journal as MLflow's own kind of thing, linked to its run.

The files of a local store get a second name instead of a copy. A model that an outage or a kill left half sent is found
by its run and name and is completed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.files import link_or_copy, replacing, write_whole
from workbench.names import TAG_ID, TAG_PREFIX, TAG_RUN, TAG_SEED, TAG_STUDY, direction
from workbench.security import safe_json, safe_yaml
from workbench.security.foreign_files import files_below
from workbench.tracking import logged_models
from workbench.tracking.rows import EpochRecord, StartRecord
from workbench.tracking.store import Store
from workbench.views.mlflow_values import (
    HIDDEN_PREFIX,
    batched,
    folder_state,
    milliseconds,
    parameter_texts,
    safe_key,
    safe_name,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

KIND = "image network"  # MLflow's type of a model: a word of ours
TAG_STATE = HIDDEN_PREFIX + "files"
READY: Literal["READY"] = "READY"
BATCH = 100  # MLflow's limit for the parameters of one request
METADATA, EPOCH = "metadata", "epoch"


class ModelSender:
    """The models of one run, brought to the MLflow run `run_id` of the experiment `experiment`."""

    def __init__(self, client: MlflowClient, store: Store, run_id: str, experiment: str) -> None:
        self.client, self.store, self.run_id, self.experiment = client, store, run_id, experiment
        self.places: list[Path] = []  # the folders made in a local store

    def send(self, start: StartRecord, rows: Sequence[EpochRecord]) -> int:
        """Make MLflow show all models of the run; return how many had to be sent."""
        known = {model.name: model for model in self.known()}
        sent = 0
        for name in logged_models.names(self.store, start.run):
            folder = logged_models.folder(self.store, start.run) / name
            state, found = folder_state(folder), known.get(name)
            if found is not None and _state_of(found) == state and found.status == READY:
                continue
            self._send_one(folder, state, found, start, rows)
            sent += 1
        return sent

    def known(self) -> list[LoggedModel]:
        """Return the models of this run that MLflow has."""
        query = f"source_run_id = '{self.run_id}'"
        return list(self.client.search_logged_models([self.experiment], filter_string=query))

    def _send_one(
        self,
        folder: Path,
        state: str,
        found: LoggedModel | None,
        start: StartRecord,
        rows: Sequence[EpochRecord],
    ) -> None:
        description = safe_yaml.read(folder / logged_models.DESCRIPTION)
        epoch = int((description.get(METADATA) or {}).get(EPOCH, 0))
        model = (
            found
            if found is not None
            else self._create(folder.name, start, _words(start, description.get(METADATA) or {}))
        )
        self._send_files(folder, description, model)
        self._send_scores(model.model_id, epoch, rows)
        if found is None or not self._is_output(model.model_id):
            from mlflow.entities import LoggedModelOutput

            self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, epoch)])
        self.client.finalize_logged_model(model.model_id, READY)
        # Last: a model without it is sent again.
        self.client.set_logged_model_tags(model.model_id, {TAG_STATE: state})

    def _create(self, name: str, start: StartRecord, note: str) -> LoggedModel:
        settings = list(parameter_texts(start.parameters).items())
        tags = {TAG_RUN: start.run, TAG_ID: start.id, TAG_STUDY: start.study, TAG_SEED: str(start.seed)}
        for key, fact in (("user", "user"), ("source.name", "spec_file")):
            if start.provenance.get(fact):
                tags[f"mlflow.{key}"] = str(start.provenance[fact])
        tags["mlflow.note.content"] = note
        model = self.client.create_logged_model(
            self.experiment, name=safe_name(name), source_run_id=self.run_id, tags=tags, model_type=KIND
        )
        for part in batched(settings, BATCH):
            self.client.log_model_params(model.model_id, dict(part))
        return model

    def _is_output(self, model_id: str) -> bool:
        outputs = self.client.get_run(self.run_id).outputs
        return outputs is not None and any(one.model_id == model_id for one in outputs.model_outputs)

    def _send_files(self, folder: Path, description: dict[str, Any], model: LoggedModel) -> None:
        """Send the files, with the ids that MLflow gave in the one that describes them."""
        facts = {**description, "model_id": model.model_id, "run_id": self.run_id}
        if self.store.is_local:
            place = Path(model.artifact_location.removeprefix("file://"))
            self.places.append(place.parent)
            _link(folder, place, facts)
            return
        with tempfile.TemporaryDirectory(prefix="workbench-model-") as temporary:
            _link(folder, Path(temporary), facts)
            self.client.log_model_artifacts(model.model_id, temporary)

    def _send_scores(self, model_id: str, epoch: int, rows: Sequence[EpochRecord]) -> None:
        """Give the model the values that were measured after its epoch; to the run they are known already."""
        from mlflow.entities import Metric

        row = next((row for row in rows if row.epoch == epoch), None)
        known = self.client.get_logged_model(model_id)
        if row is None or known.metrics:
            return
        moment = milliseconds(row.time)
        metrics = [
            Metric(safe_key(key), float(value), moment, epoch, model_id=model_id)
            for key, value in row.metrics.items()
            if direction(key) is not None  # rates and stages say nothing of a network
        ]
        self.client.log_batch(self.run_id, metrics=metrics)


def _state_of(model: LoggedModel) -> str | None:
    """Return the state of the files that MLflow has of a model; an older version wrote it under a shown name."""
    return model.tags.get(TAG_STATE) or model.tags.get(TAG_STATE.replace(HIDDEN_PREFIX, TAG_PREFIX))


def _words(start: StartRecord, facts: Mapping[str, Any]) -> str:
    """Return the description of a model: whose network it is, after which epoch, and what it takes and gives."""
    outputs = facts.get("outputs", "embedding")
    gives = "vectors of length 1" if outputs == "embedding" else f"{outputs} by class"
    return f"The network of {start.title} ({facts.get('checkpoint', 'a checkpoint')}): images as bytes in, {gives} out."


def _link(folder: Path, place: Path, description: dict[str, Any]) -> None:
    import yaml

    for inner in files_below(folder):
        if str(inner) != logged_models.DESCRIPTION:
            # Aside in the folder above: MLflow lists what lies within as the files of the model.
            with replacing(place / inner, temporary_in=place.parent) as temporary:
                link_or_copy(folder / inner, temporary)
    write_whole(place / logged_models.DESCRIPTION, yaml.safe_dump(description, sort_keys=False))


def tell_registered(client: MlflowClient, model_id: str, name: str, version: str) -> None:
    """Note on a model that it is a version of a registered one, as MLflow's pages of models show it."""
    tag = "mlflow.modelVersions"
    known = safe_json.loads(client.get_logged_model(model_id).tags.get(tag, "[]"))
    client.set_logged_model_tags(
        model_id, {tag: json.dumps([*known, {"name": name, "version": int(version)}])}
    )
