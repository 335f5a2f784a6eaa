"""MLflow models of a run, as they lie beside its journal, and under which names they were registered.

A model is a folder in `<run>.d/models/`, put in place whole; `<run>.d/registered.json` lists registrations. Views bring
both to MLflow, so that an outage, a kill or a lost database loses neither.
"""

from __future__ import annotations

import contextlib
import dataclasses
import filecmp
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import RecordError
from workbench.files import link_or_copy, replacing, write_json
from workbench.security.foreign_files import files_below
from workbench.tracking.store import Store

FOLDER, REGISTERED = "models", "registered.json"
DESCRIPTION = "MLmodel"  # MLflow's own name of the file that makes a folder a model
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
    place = folder(store, run)
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(".*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    # The dot keeps it from being listed; the process number keeps two writers apart.
    aside = place / f".{name}.{os.getpid()}"
    try:
        yield aside
        if (place / name).exists():
            # Renamed away, not removed: a folder cannot replace one that is not empty, and the old model is
            # there until the new one is.
            (place / name).rename(place / f".{name}.old")
        aside.rename(place / name)
    finally:
        for left in place.glob(f".{name}.*"):
            shutil.rmtree(left, ignore_errors=True)


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
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [_registration(run, row) for row in rows]
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise RecordError(f"is damaged: {error!r}", where=path, do="move it away; register again") from error


def _registration(run: str, row: dict[str, Any]) -> Registration:
    texts = {key: str(row.get(key, "")) for key in ("name", "model", "alias", "model_id")}
    return Registration(run=run, time=float(row["time"]), version=int(row.get("version", 0)), **texts)


def keep(store: Store, registration: Registration) -> None:
    """Note a registration, or what MLflow made of one that is noted."""
    known = registrations(store, registration.run)
    # Name and time tell registrations apart: the same model may be registered again under one name.
    others = [one for one in known if (one.name, one.time) != (registration.name, registration.time)]
    rows = sorted([*others, registration], key=lambda one: one.time)
    path = store.run_folder(registration.run) / REGISTERED
    write_json(path, [dataclasses.asdict(row) for row in rows], durable=True)


def all_registrations(store: Store) -> list[Registration]:
    """Return the registrations of a store in the order in which they were made."""
    # Only runs that have the file: of a hundred runs one or two were registered.
    runs = [run for run in store.runs() if (store.run_folder(run) / REGISTERED).is_file()]
    return sorted((one for run in runs for one in registrations(store, run)), key=lambda one: one.time)
