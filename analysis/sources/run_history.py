"""One history for what a notebook names: a `*_hist.json` file, a run of the workbench, or its `history.json`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.sources.history_json import History, read_history
from workbench.errors import RecordError
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import RUN_NAME
from workbench.tracking.runs import find_run
from workbench.tracking.store import Store, find_store

FILE = "history.json"  # the name of the file among a run's artifacts


@dataclass(frozen=True)
class Named:
    """A history with the name it has in a legend or a table, its file, and its stages where they are known."""

    label: str
    metrics: History
    path: Path | None = None
    stages: tuple[int, ...] = ()


def named_history(item: Any) -> Named:
    """Return the history of a file, of a run (its name, a unique beginning of it, or a `Run`) or of its file.

    A run's lists are as long as the run: NaN stands where a metric was not measured. Raises `RecordError`
    for what is none of them.
    """
    if not isinstance(item, (str, Path)):
        return _of_object(item)
    path = Path(item)
    if path.name == FILE and path.is_file():
        return _of_file_of_a_run(path)
    if path.suffix == ".json" or path.is_file():
        return Named(path.stem, read_history(path), path)
    store = find_store()
    run = find_run(store, str(item))
    if not store.is_local:
        raise RecordError("lies on a server", where=run, do="read it with `analysis.load`")
    return _of_journal(store, run, store.run_artifacts(run) / FILE)


def _of_file_of_a_run(path: Path) -> Named:
    """Return the history in a run's `history.json`, with what its journal tells where that lies beside it.

    The file is in `<run>.d/artifacts` beside the journal `<run>.jsonl`.
    """
    folder = next(
        (one for one in path.absolute().parents if RUN_NAME.fullmatch(one.name.removesuffix(".d"))), None
    )
    if folder is None:
        return Named(path.absolute().parent.name, read_history(path), path)
    run, store = folder.name.removesuffix(".d"), find_store(str(folder.parent.parent))
    known = store.is_local and store.journal(run).is_file()
    return _of_journal(store, run, path) if known else Named(run, read_history(path), path)


def _of_object(run: Any) -> Named:
    """Return the history of a `Run` as a notebook holds it."""
    name, store = getattr(run, "run", None) or getattr(run, "name", None), getattr(run, "store", None)
    if isinstance(name, str) and store is not None and store.is_local:
        return _of_journal(store, name, store.run_artifacts(name) / FILE)
    if isinstance(name, str):
        return named_history(name)
    raise RecordError(f"{run!r} is not a history", expected="a path, a run or a dict")


def _of_journal(store: Store, run: str, path: Path) -> Named:
    """Return the history of a run in a store, that of its trunk before it."""
    from analysis.sources import read_store

    epochs = read_store(store, [run], journals=True).epochs
    start = read_journal(store.journal(run)).start
    if start is None or epochs.empty:
        raise RecordError("has no epoch yet", where=run)
    last = int(epochs["epoch"].max())
    lists: History = {}
    for metric, epoch, value in zip(epochs["metric"], epochs["epoch"], epochs["value"], strict=True):
        lists.setdefault(str(metric), [math.nan] * last)[int(epoch) - 1] = float(value)
    stages = tuple(int(stage["epochs"]) for stage in start.stages)
    return Named(f"{start.study}/{start.name}:{start.seed}", lists, path, stages)
