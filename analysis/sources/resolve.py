"""What a user's words mean: files, folders, patterns, and runs, sweeps and studies of a store."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Sequence
from pathlib import Path

from analysis.frames import without_reruns
from analysis.sources.sniff import is_database
from analysis.sources.store import is_address, read_store
from workbench.errors import RecordError
from workbench.tracking.store import Store


def expand(item: str) -> list[Path]:
    """Return the files or folders that a path or a pattern means; none if it is neither, as `study/name:seed`."""
    if Path(item).exists():
        return [Path(item)]
    if not any(sign in item for sign in "*?["):
        place = item.startswith((".", "/", "~")) or item.endswith("/")
        if place or Path(item).suffix in (".json", ".log", ".csv", ".jsonl", ".txt"):
            raise RecordError("no such file", where=item)
        return []
    found = [Path(path) for path in sorted(glob.glob(item, recursive=True))]
    if not found:
        raise RecordError("no file fits this pattern", where=item)
    return found


def is_store(path: Path) -> bool:
    """Tell whether a path is a store of ours: a folder with a database or journals, or the database."""
    if path.is_dir():
        return (path / "mlflow.db").is_file() or (path / "journal").is_dir()
    return path.name == "mlflow.db" or is_database(path)


def runs_named(store: Store, items: Sequence[str]) -> list[str]:
    """Return the runs that items mean: runs, for a sweep those of its trials, for a study all that are its own.

    Raises `RecordError` for what is none of them, and for a sweep without a trial.
    """
    from workbench.tracking import sweeps

    found: list[str] = []
    for item in items:
        sweep = sweeps.find(store, item)
        begun = [run for run in sweep.runs if store.journal(run).exists()] if sweep else []
        if sweep and not begun:
            raise RecordError("no trial yet", where=f"sweep {item}", do="`workbench sweep FILE --resume`")
        found += begun or runs_or_study(store, item)
    return list(dict.fromkeys(found))


def runs_meant(store: Store, item: str) -> list[str]:
    """Return the runs of a sweep or of a study for its name, and anything else as it is."""
    from workbench.tracking import sweeps

    sweep = sweeps.find(store, item)
    if sweep:
        return list(sweep.runs)
    if is_address(item) or expand(item):
        return [item]
    return runs_or_study(store, item)


def runs_or_study(store: Store, item: str) -> list[str]:
    """Return the run that an item means, or the runs of the study of that name; raises `RecordError` for neither."""
    from workbench.tracking.runs import find_titled

    try:
        if store.is_local:
            return resolve(store, [item])
    except RecordError:
        found = runs_of_study(store, item)
        if not found:
            raise
        return found
    with contextlib.suppress(RecordError):  # runs of this machine have titles here, others on the server only
        item = find_titled(store, item) or item
    return runs_of_study(store, item) or [item]  # a server's runs are looked up when they are read


def runs_of_study(store: Store, study: str) -> list[str]:
    """Return the runs of a study without reruns; `--quick` ones only where there are no others."""
    from workbench.tracking.rows import RUN_NAME
    from workbench.tracking.runs import MLFLOW_ID

    if RUN_NAME.fullmatch(study) or MLFLOW_ID.fullmatch(study):
        return []
    runs = without_reruns(read_store(store)).runs
    own = runs[runs["study"].astype(str) == study]
    real = own[~own["quick"].eq(True)]
    return [str(run) for run in (own if real.empty else real)["run"]]


def resolve(store: Store, items: Sequence[str]) -> list[str]:
    """Return the runs that names, unique beginnings of names or MLflow ids mean, duplicates left out."""
    from workbench.tracking.runs import find_run

    if not store.is_local:
        return list(dict.fromkeys(items))
    return list(dict.fromkeys(find_run(store, item) for item in items))
