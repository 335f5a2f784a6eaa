"""Plain `mlruns` folders of old MLflow versions: a file a metric, a line `time value step` a value."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import MEASURED, Note, Notes, RunData
from analysis.sources.mlflow_common import facts_of, parse_parameter, place_by_metric, shifted, stages_of
from workbench.errors import RecordError
from workbench.names import declare_recorded


def is_folder(path: Path) -> bool:
    """Tell whether a folder looks like an old store, an experiment or a run of one."""
    return path.is_dir() and any(any(path.glob("*/" * depth + "meta.yaml")) for depth in range(3))


def read(path: Path) -> tuple[list[RunData], list[Note]]:
    """Return all runs at or below `path` (deleted ones left out) and the remarks.

    Raises `RecordError` when there is no run.
    """
    notes = Notes(str(path))
    runs = []
    for meta in sorted(path.rglob("meta.yaml")):
        content = _yaml(meta)
        if "run_id" not in content and "run_uuid" not in content:
            continue
        if content.get("lifecycle_stage", "active") == "active":
            runs.append(_run(meta.parent, content, notes))
    if not runs:
        raise RecordError("holds no run", where=path)
    return runs, notes.all()


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecordError(f"cannot be read: {error}", where=path) from error
    return content if isinstance(content, dict) else {}


def _texts(folder: Path) -> dict[str, str]:
    """Return the small files below a folder as name -> content; names may hold slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def _run(folder: Path, meta: dict[str, Any], notes: Notes) -> RunData:
    tags = _texts(folder / "tags")
    parameters = {name: parse_parameter(text.strip("\n")) for name, text in _texts(folder / "params").items()}
    run = str(meta.get("run_id") or meta.get("run_uuid"))
    facts = facts_of(tags, run, name=str(meta.get("run_name") or meta.get("name") or ""), origin=str(folder))
    if meta.get("start_time"):
        facts["started"] = datetime.fromtimestamp(int(meta["start_time"]) / 1000, timezone.utc)
        if meta.get("end_time"):
            facts["seconds"] = (int(meta["end_time"]) - int(meta["start_time"])) / 1000
    data = RunData(run=facts.pop("run"), file=str(folder), facts=facts, settings=parameters)
    data.stages = stages_of(parameters)
    declare_recorded(parameters, tags)
    metrics = {
        name: _values(text, folder / "metrics" / name, notes)
        for name, text in _texts(folder / "metrics").items()
    }
    shift = shifted([steps for _, steps, _ in metrics.values()], tags)
    for name, (values, steps, lines) in metrics.items():
        data.add(name, MEASURED, steps + shift, values, file=str(folder / "metrics" / name), line=lines)
    place_by_metric(data)
    return data


def _values(text: str, path: Path, notes: Notes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, steps and line numbers of one metric's file; a cut line is reported."""
    found = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        parts = line.split()
        try:
            if not line.endswith("\n") or len(parts) not in (2, 3):
                raise ValueError(line)
            found.append((float(parts[1]), int(parts[2]) if len(parts) == 3 else number, number))
        except ValueError:
            notes.add(f"{path.name}: a line that is cut or damaged, not used", number)
    table = np.array(found, dtype="float64").reshape(-1, 3)
    return table[:, 0], table[:, 1].astype("int64"), table[:, 2].astype("int64")
