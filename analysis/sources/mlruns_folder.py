"""Plain `mlruns` folders of old MLflow versions: a file a metric, a line `time value step` a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import Note, Notes, RunData
from analysis.sources.lines import is_hidden
from analysis.sources.mlflow_common import facts_of, is_derived, run_data, times_of
from analysis.sources.options import Options
from workbench.errors import DataError, RecordError
from workbench.security.safe_yaml import read as read_yaml

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")  # by MLflow's numbers, from 1 on


def is_folder(path: Path) -> bool:
    """Tell whether a folder looks like an old store, an experiment or a run of one."""
    return path.is_dir() and any(any(path.glob("*/" * depth + "meta.yaml")) for depth in range(3))


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return all runs at or below `path` (deleted ones left out) and the remarks.

    A run that cannot be read is reported and left out. Raises `RecordError` when there is no run.
    """
    notes = Notes(str(path))
    studies: dict[Path, str] = {}
    runs = []
    for meta in sorted(path.rglob("meta.yaml")):
        if is_hidden(meta.relative_to(path)):
            continue
        content = _yaml(meta, notes)
        if "experiment_id" in content and not {"run_id", "run_uuid"} & set(content):
            studies[meta.parent] = str(content.get("name") or meta.parent.name)
        elif {"run_id", "run_uuid"} & set(content) and content.get("lifecycle_stage", "active") == "active":
            try:
                runs.append(_run(meta.parent, content, notes, (options or Options()).epochs_from))
            except (OSError, ValueError, TypeError, OverflowError) as error:
                notes.add(f"run {meta.parent.name} cannot be read, left out: {error}")
    if not runs:
        said = "; ".join(note.what for note in notes.all())
        raise RecordError(f"holds no run{f' ({said})' if said else ''}", where=path)
    for data in runs:
        folder = Path(data.file)
        data.facts["study"] = data.facts.get("study") or studies.get(folder.parent) or _study(folder.parent)
    return runs, notes.all()


def _study(folder: Path) -> str | None:
    """Return the name of the experiment that a run's folder lies in, where only the run was named."""
    meta = folder / "meta.yaml"
    name = _yaml(meta, Notes(str(meta))).get("name") if meta.is_file() else None
    return str(name) if name else None


def _yaml(path: Path, notes: Notes) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except DataError as error:
        notes.add(f"{path.parent.name}/{path.name}, left out: {error.what}")
        return {}
    return content if isinstance(content, dict) else {}


def _texts(folder: Path) -> dict[str, str]:
    """Return the small files below a folder as name -> content; names may hold slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    named = {path.relative_to(folder): path for path in files}
    return {
        name.as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for name, path in named.items()
        if not is_hidden(name)
    }


def _run(folder: Path, meta: dict[str, Any], notes: Notes, epochs_from: int | None) -> RunData:
    tags = _texts(folder / "tags")
    parameters = {name: text.strip("\n") for name, text in _texts(folder / "params").items()}
    run = str(meta.get("run_id") or meta.get("run_uuid"))
    name = str(meta.get("run_name") or meta.get("name") or "")
    facts = facts_of(tags, run, name=name, origin=str(folder), status=status_of(meta.get("status")))
    facts |= times_of(meta.get("start_time"), meta.get("end_time"))
    points, lines = {}, {}
    for metric, text in _texts(folder / "metrics").items():
        if not is_derived(metric):
            values, steps, lines[metric] = _values(text, folder / "metrics" / metric, notes)
            points[metric] = (steps, values)
    data = run_data(facts, tags, parameters, points, notes, epochs_from, lines)
    data.values = [
        (metric, kind, str(folder / "metrics" / metric), block) for metric, kind, _, block in data.values
    ]
    return data


def status_of(value: Any) -> str:
    """Return MLflow's word for a status, which old versions wrote as a number; nothing where none is known."""
    if isinstance(value, int) and 1 <= value <= len(STATUSES):
        return STATUSES[value - 1]
    return str(value) if value else ""


def _values(text: str, path: Path, notes: Notes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, steps and line numbers of one metric's file; a cut line is reported."""
    found = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        parts = line.split()
        try:
            if not line.endswith("\n") or len(parts) < 2:
                raise ValueError(line)
            found.append((float(parts[1]), int(parts[2]) if len(parts) > 2 else 0, number))
        except ValueError:
            notes.add(f"{path.name}: a line that is cut or damaged, not used", number)
    table = np.array(found, dtype="float64").reshape(-1, 3)
    return table[:, 0], table[:, 1].astype("int64"), table[:, 2].astype("int64")
