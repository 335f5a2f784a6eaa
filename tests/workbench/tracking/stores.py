"""What the tests of stores share: runs recorded by hand, and readers that are not our own.

MLflow is read back through plain SQL, TensorBoard through its own loader and HParams plugin (with its
stand-in for TensorFlow, so that no test here imports it).
"""

from __future__ import annotations

import sqlite3
import sys
import types
from pathlib import Path
from typing import Any

from workbench.tracking.rows import CheckpointRecord, EpochRecord, StartRecord, new_run_name
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker

METRICS = ("loss", "accuracy", "lr", "lfw", "lfw_thresh")


def start(run: str = "", **fields: Any) -> StartRecord:
    values: dict[str, Any] = {
        "run": run or new_run_name(),
        "id": "0123456789ab",
        "study": "margin",
        "name": "baseline",
        "parameters": {"batch_size": 400, "embedding.dropout": 0.4, "flip": True, "stages.1.loss": "ArcFace"},
        "provenance": {"commit": "c0ffee", "spec_file": "experiments/margin.py"},
    }
    return StartRecord(**{**values, **fields})


def epoch(number: int, **metrics: float) -> EpochRecord:
    values = metrics or {name: number + place / 10 for place, name in enumerate(METRICS)}
    return EpochRecord(stage=1, stage_epoch=number, epoch=number, step=number, metrics=values, seconds=1.0)


def record(tracker: Tracker, numbers: range, durable: bool = True) -> None:
    for number in numbers:
        tracker.epoch(epoch(number))
        if durable:
            tracker.checkpoint(CheckpointRecord(epoch=number, file=f"{number}", digest="d"))


def query(store: Store, words: str, *values: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{store.database}?mode=ro", uri=True, timeout=20)
    try:
        return connection.execute(words, values).fetchall()
    finally:
        connection.close()


def points(store: Store, key: str, run: str) -> list[tuple[int, float]]:
    """Return (step, value) of a metric of our run in MLflow, of the runs not deleted."""
    return query(
        store,
        "SELECT m.step, m.value FROM metrics m JOIN runs r USING (run_uuid) "
        "JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'workbench.run' "
        "WHERE r.lifecycle_stage = 'active' AND m.key = ? AND t.value = ? ORDER BY m.step",
        key,
        run,
    )


def everything(store: Store) -> dict[str, Any]:
    """Return all that MLflow holds of every active run, without its own ids, and the artifact files."""
    found = {}
    for uuid, name, status, began, ended, place, study in query(
        store,
        "SELECT run_uuid, r.name, status, start_time, end_time, artifact_uri, e.name FROM runs r "
        "JOIN experiments e USING (experiment_id) WHERE r.lifecycle_stage = 'active'",
    ):
        tags = dict(query(store, "SELECT key, value FROM tags WHERE run_uuid = ?", uuid))
        files = {
            p.relative_to(place).as_posix(): p.read_bytes() for p in Path(place).rglob("*") if p.is_file()
        }
        found[tags["workbench.run"]] = {
            "facts": (name, status, began, ended, study),
            "tags": tags,
            "parameters": query(store, "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key", uuid),
            "metrics": query(
                store,
                "SELECT key, step, value, timestamp, is_nan FROM metrics WHERE run_uuid = ? ORDER BY 1, 2, 4",
                uuid,
            ),
            "inputs": query(
                store,
                "SELECT d.name, d.digest, d.dataset_profile, t.value FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id "
                "JOIN input_tags t ON t.input_uuid = i.input_uuid WHERE i.destination_id = ? ORDER BY 1",
                uuid,
            ),
            "latest": query(
                store,
                "SELECT key, step, value, is_nan FROM latest_metrics WHERE run_uuid = ? ORDER BY 1",
                uuid,
            ),
            "files": files,
            "models": models(store, uuid),
        }
    return found


def models(store: Store, uuid: str) -> dict[str, Any]:
    """Return all that MLflow holds of the logged models of one of its runs, without its own ids."""
    found = {}
    for model, name, status, place in query(
        store,
        "SELECT model_id, name, status, artifact_location FROM logged_models WHERE source_run_id = ?",
        uuid,
    ):
        shown = {
            path.relative_to(place).as_posix(): path for path in Path(place).rglob("*") if path.is_file()
        }
        found[name] = {
            "status": status,
            "tags": dict(
                query(store, "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?", model)
            ),
            "parameters": dict(
                query(
                    store, "SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?", model
                )
            ),
            "metrics": query(
                store,
                "SELECT metric_name, metric_step, metric_value FROM logged_model_metrics WHERE model_id = ? ORDER BY 1",
                model,
            ),
            "outputs": query(
                store, "SELECT source_id = ?, step FROM inputs WHERE destination_id = ?", uuid, model
            ),
            "versions": query(
                store,
                "SELECT v.name, v.version, v.storage_location = ?, a.alias FROM model_versions v "
                "LEFT JOIN registered_model_aliases a ON a.name = v.name AND a.version = v.version "
                "WHERE v.run_id = ? AND v.current_stage != 'Deleted_Internal' AND v.source = ? ORDER BY 2",
                place,
                uuid,
                place,
            ),
            "files": {
                inner: path.read_bytes().replace(model.encode(), b"MODEL").replace(uuid.encode(), b"RUN")
                for inner, path in shown.items()
            },
        }
    return found


class Board:
    """A TensorBoard folder as TensorBoard itself reads it."""

    def __init__(self, folder: Path) -> None:
        if "tensorflow" not in sys.modules:
            sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
        from tensorboard import context
        from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
        from tensorboard.plugins import base_plugin
        from tensorboard.plugins.hparams import backend_context

        self.many = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"scalars": 0})
        self.many.AddRunsFromDirectory(str(folder))
        self.many.Reload()
        provider = data_provider.MultiplexerDataProvider(self.many, str(folder))
        self._context = context.RequestContext()
        self._hparams = backend_context.Context(base_plugin.TBContext(data_provider=provider))

    def runs(self) -> list[str]:
        return sorted(name for name in self.many.Runs() if name != ".")

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        from tensorboard.util import tensor_util

        events = self.many.Tensors(run, tag)
        return [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in events]

    def experiment(self) -> Any:
        """Return the configuration of the HParams tab."""
        metadata = self._hparams.hparams_metadata(self._context, "")
        return self._hparams.experiment_from_metadata(self._context, "", True, metadata, [])

    def sessions(self) -> list[Any]:
        """Return the rows of the HParams tab."""
        from tensorboard.plugins.hparams import api_pb2, list_session_groups

        request = api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=1000, allowed_statuses=[0, 1, 2, 3], include_metrics=True
        )
        for info in self.experiment().metric_infos:
            request.col_params.add(metric=info.name)
        handler = list_session_groups.Handler(self._context, self._hparams, "", request)
        return list(handler.run().session_groups)
