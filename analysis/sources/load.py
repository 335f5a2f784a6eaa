"""Anything named into the two frames: files, folders, patterns, addresses, runs of the store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from analysis.frames import Records, concat, without_reruns
from analysis.sources.options import Options
from analysis.sources.read_files import read_files
from analysis.sources.resolve import expand, is_store, runs_named
from analysis.sources.store import is_address, read_store
from workbench.tracking.store import find_store


def trainings(store: str | None = None) -> Records:
    """Return the frames of the whole store (as `load` finds it), each training once: reruns are left out."""
    return without_reruns(load((), store))


def load(
    items: Iterable[str | Path] = (),
    store: str | None = None,
    options: Options | None = None,
    journals: bool = False,
) -> Records:
    """Return the frames of everything named.

    Args:
        items: Files, folders, patterns, addresses of servers and databases, runs of the store; none: the whole store.
        store: Folder or address of the store; None: $WORKBENCH_STORE, else `mlruns/`.
        options: How files are to be understood where they do not say it themselves.
        journals: Read our runs from their journals even where MLflow's database has them.

    Returns:
        `Records`: `runs`, a row a run, `epochs`, a row a value, and `notes` on what could not be read.

    Raises:
        RecordError: A name that is nothing, or a record that cannot be understood.
        StoreError: A store that is not there or does not answer.
    """
    options = options or Options()
    items = [str(item) for item in items]
    if not items:
        return read_store(find_store(store), None, journals, options.epochs_from)
    paths, runs, parts = [], [], []
    for item in items:
        if is_address(item):
            parts.append(read_store(find_store(item), None, journals, options.epochs_from))
            continue
        found = expand(item)
        if found and is_store(found[0]):
            parts += [_read_path(path, journals, options.epochs_from) for path in found]
        elif found:
            paths += found
        else:
            runs.append(item)
    if runs:
        place = find_store(store)
        parts.append(read_store(place, runs_named(place, runs), journals, options.epochs_from))
    if paths:
        parts.append(read_files(paths, options))
    return concat(parts)


def _read_path(path: Path, journals: bool, epochs_from: int | None) -> Records:
    """Return the records of a folder or a database that is a store."""
    if path.is_dir() or path.name == "mlflow.db":
        root = path if path.is_dir() else path.parent
        return read_store(find_store(str(root)), None, journals, epochs_from)
    from analysis.sources.mlflow_sql import read_database

    return read_database(path, epochs_from=epochs_from)
