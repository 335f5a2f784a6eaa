"""MLflow models of a run, as they lie beside its journal, and under which names they were registered.

A model is a folder in `<run>.d/models/`, put in place whole; `<run>.d/registered.json` lists registrations. Views bring
both to MLflow, so that an outage, a kill or a lost database loses neither.
"""

from __future__ import annotations

import contextlib
import dataclasses
import filecmp
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import DataError, RecordError
from workbench.files import clear_temporary_files, link_or_copy, replacing, replacing_folder, write_json
from workbench.security import safe_json, safe_yaml
from workbench.security.foreign_files import files_below, read_file
from workbench.tracking.locks import lock
from workbench.tracking.store import Store

FOLDER, REGISTERED = "models", "registered.json"
DESCRIPTION = "MLmodel"  # MLflow's own name of the file that makes a folder a model
GRAPH = "tf2model"  # MLflow's own name of the SavedModel in that folder
LOCK_PATIENCE = 10.0  # seconds; a note is written in a moment
BEST = "model"  # the logged model of a run's best epoch: `runs:/ID/model`


@dataclass(frozen=True)
class Registration:
    """A model of a run under a registered name.

    `version` and `model_id` are what MLflow gave it; 0 and "" until it did.
    """

    run: str
    name: str
    model: str = BEST
    alias: str = ""
    time: float = field(default_factory=time.time)
    version: int = 0
    model_id: str = ""


def folder(store: Store, run: str) -> Path:
    """Return the folder of a run's models."""
    return store.run_folder(run) / FOLDER


def is_plain(content: bytes | None) -> bool:
    """Tell whether an MLmodel is one that this program writes: MLflow loads it without running code of its folder.

    One of somebody else may name a module to import, a folder of code or a pickle, and MLflow does as it says.
    """
    try:
        flavors = safe_yaml.loads(content or b"")["flavors"]
        function, graph = flavors["python_function"], flavors["tensorflow"]
        return (
            set(flavors) == {"python_function", "tensorflow"}
            and set(function) <= {"env", "loader_module", "python_version"}
            and set(graph) <= {"code", "model_type", "saved_model_dir"}
            and function["loader_module"] == "mlflow.tensorflow"
            and graph["model_type"] == "tf2-module"
            and graph["saved_model_dir"] == GRAPH
            and not graph.get("code")
        )
    except (DataError, KeyError, TypeError):
        return False


def names(store: Store, run: str) -> list[str]:
    """Return the names of a run's models; a half-made one, whose name begins with a dot, is none."""
    place = folder(store, run)
    if not place.is_dir() or place.is_symlink():
        return []
    found = (path for path in place.iterdir() if not path.name.startswith(".") and not path.is_symlink())
    return sorted(path.name for path in found if (path / DESCRIPTION).is_file())


@contextlib.contextmanager
def placing(store: Store, run: str, name: str) -> Iterator[Path]:
    """Give the folder to write a model into, which takes its place when the block ends well."""
    clear_temporary_files(folder(store, run))
    with replacing_folder(folder(store, run) / name) as aside:
        yield aside


def share_weights(store: Store, run: str) -> None:
    """Make one file again of a run's checkpoint and the copy of it in a model, as where the model was made."""
    states = list(store.run_checkpoints(run).glob("*.safetensors"))
    for name in names(store, run):
        place = folder(store, run) / name
        for path in (place / inner for inner in files_below(place)):
            size = path.stat().st_size
            same = (one for one in states if one.stat().st_size == size and not one.samefile(path))
            found = next((one for one in same if filecmp.cmp(one, path, shallow=False)), None)
            if found is not None:
                with replacing(path) as aside:
                    link_or_copy(found, aside)


def registrations(store: Store, run: str) -> list[Registration]:
    """Return the registrations of a run's models, the oldest first; raises `RecordError` where they are damaged."""
    path = store.run_folder(run) / REGISTERED
    if not path.is_file() or path.is_symlink():
        return []
    try:
        rows = safe_json.loads(read_file(path))
        return [_registration(run, row) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise RecordError(f"is damaged: {error!r}", where=path, do="move it away; register again") from error


def _registration(run: str, row: dict[str, Any]) -> Registration:
    texts = {key: row.get(key, "") for key in ("name", "model", "alias", "model_id")}
    moment, version = float(row["time"]), int(row.get("version", 0))
    if not all(isinstance(text, str) for text in texts.values()) or not texts["name"]:
        raise ValueError("a name is not text")
    if not (math.isfinite(moment) and 0 <= version < 2**31):
        raise ValueError("time or version is impossible")
    return Registration(run=run, time=moment, version=version, **texts)


def keep(store: Store, registration: Registration) -> None:
    """Note a registration, or what MLflow made of one that is noted."""
    place = store.run_folder(registration.run)
    # Read and written under one lock: a sync that notes a version must not lose what an export has noted meanwhile.
    with lock(place / ".registered.lock", patience=LOCK_PATIENCE, why="the registrations are being written"):
        known = registrations(store, registration.run)
        # Name and time tell registrations apart: the same model may be registered again under one name.
        others = [one for one in known if (one.name, one.time) != (registration.name, registration.time)]
        rows = sorted([*others, registration], key=lambda one: one.time)
        write_json(place / REGISTERED, [dataclasses.asdict(row) for row in rows], durable=True)


def all_registrations(store: Store) -> tuple[list[Registration], dict[str, str]]:
    """Return the registrations of a store in the order in which they were made, and of which runs they are damaged."""
    found, damaged = list[Registration](), dict[str, str]()
    for run in store.runs():
        try:
            found += registrations(store, run)
        except RecordError as error:
            damaged[run] = str(error)
    return sorted(found, key=lambda one: one.time), damaged
