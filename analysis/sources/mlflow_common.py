"""What the sources of MLflow records share: types of parameters, facts of a run, its metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np

from analysis.frames import INFERRED, MEASURED, Notes, RunData
from analysis.sources.step_epochs import Points, steps_as_epochs
from workbench import names
from workbench.security.foreign_names import is_count
from workbench.spec.labels import value_text
from workbench.tracking.store import MLFLOW_INFINITY

TAG_REGULARISER = "workbench.loss_regulariser"  # whether a recorded loss includes or excludes it
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
STAGE_SETTING = re.compile(r"stages\.(\d+)\.(?:epochs|name)")


def parse_parameter(text: str) -> Any:
    """Return a parameter with its type: MLflow keeps texts only, our records hold numbers and booleans."""
    if NUMBER.fullmatch(text):
        return int(text) if is_count(text.lstrip("+-")) else float(text)
    return {"true": True, "false": False, "True": True, "False": False, "None": None}.get(text, text)


def is_sweep(tags: Mapping[str, str]) -> bool:
    """Tell the run of a sweep itself, which trained nothing: its trials are the runs to compare."""
    return tags.get(names.TAG_KIND) == names.SWEEP


def is_derived(metric: str) -> bool:
    """Tell a metric that MLflow's pages need and that is not a measure of the training: a best value, the machine's load."""
    return metric.startswith((names.BEST_PREFIX, names.SYSTEM_PREFIX))


def with_infinity(values: np.ndarray) -> np.ndarray:
    """Return values as measured: MLflow keeps the largest number in the place of an infinite one."""
    values[np.abs(values) >= MLFLOW_INFINITY] *= np.inf
    return values


def facts_of(
    tags: Mapping[str, str], run_id: str, name: str, origin: str, status: str = ""
) -> dict[str, Any]:
    """Return a run's facts from its tags; a run of another program keeps its MLflow id."""
    seed = tags.get(names.TAG_SEED)
    return {
        "run": tags.get(names.TAG_RUN, run_id),
        "id": tags.get(names.TAG_ID) or None,  # a run that was imported has none
        "study": tags.get(names.TAG_STUDY),
        "name": tags.get(names.TAG_NAME) or name or tags.get("mlflow.runName"),
        "seed": None if seed is None else parse_parameter(seed),
        "status": tags.get(names.TAG_STATUS)
        or status.lower().replace("scheduled", names.RUNNING)
        or names.FINISHED,
        "origin": origin,
        "parent": tags.get(names.TAG_PARENT),
        "trunk": tags.get(names.TAG_TRUNK),
        "quick": tags.get(names.TAG_QUICK) == "true",
        "loss_regulariser": tags.get(TAG_REGULARISER),
        "rerun": tags.get(names.TAG_RERUN),
        "imported_from": tags.get(names.TAG_ORIGIN),
    }


def stages_of(parameters: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return (name, epochs) of the stages that a run's parameters declare, in order; 0 where not said.

    A stage without a name is called by its loss: `ArcFace(scale=16), head`.
    """
    numbers = {int(match[1]) for name in parameters if (match := STAGE_SETTING.fullmatch(name))}
    return [
        (_stage_name(parameters, f"stages.{n}.", n), int(parameters.get(f"stages.{n}.epochs", 0)))
        for n in range(1, max(numbers, default=0) + 1)
    ]


def _stage_name(parameters: Mapping[str, Any], prefix: str, number: int) -> str:
    if parameters.get(f"{prefix}name"):
        return str(parameters[f"{prefix}name"])
    loss, scale = parameters.get(f"{prefix}loss"), parameters.get(f"{prefix}loss.scale")
    if not isinstance(loss, str):
        return f"stage {number}"
    text = loss if scale is None else f"{loss}(scale={value_text(scale)})"
    return f"{text}, head" if parameters.get(f"{prefix}train") == "head" else text


def times_of(start: Any, end: Any) -> dict[str, Any]:
    """Return when a run started and how many seconds it took, from MLflow's milliseconds; None where it is not known."""
    start, end = int(start or 0), int(end or 0)
    return {
        "started": datetime.fromtimestamp(start / 1000, timezone.utc) if start else None,
        "seconds": (end - start) / 1000 if 0 < start < end else None,
    }


def run_data(
    facts: dict[str, Any],
    tags: Mapping[str, str],
    parameters: Mapping[str, str],
    points: Points,
    notes: Notes,
    epochs_from: int | None,
    lines: Mapping[str, np.ndarray] | None = None,
) -> RunData:
    """Return a run of MLflow's with its metrics: our own steps are epochs, another program's are looked at."""
    settings = {name: parse_parameter(text) for name, text in parameters.items()}
    names.declare_recorded(settings, tags)
    run, origin = facts.pop("run"), facts["origin"]
    data = RunData(run=run, file=origin, facts=facts, settings=settings, stages=stages_of(settings))
    how = None if names.TAG_RUN in tags else steps_as_epochs(points, notes, epochs_from)
    for metric, (steps, values) in points.items():
        columns = {} if lines is None else {"line": lines[metric]}
        if how is None:
            data.add(metric, MEASURED, steps, values, **columns)
        elif metric not in how.left_out:
            if how.kind == INFERRED or how.left_out:
                columns["step"] = steps
            data.add(metric, how.kind_of(metric), how.of(metric, steps), values, **columns)
    _place_by_metric(data)
    return data


def _place_by_metric(data: RunData) -> None:
    """Give every value its stage from the run's own metric `stage`, where it has one."""
    found = [columns for metric, _, _, columns in data.values if metric == names.STAGE]
    if not found:
        return
    order = np.argsort(found[0]["epoch"], kind="stable")
    epochs, numbers = found[0]["epoch"][order], found[0]["value"][order].astype("int64")
    begins = np.concatenate([[True], numbers[1:] != numbers[:-1]])
    starts = np.maximum.accumulate(np.where(begins, np.arange(len(epochs)), 0))
    for _, _, _, columns in data.values:
        position = np.clip(np.searchsorted(epochs, columns["epoch"], side="right") - 1, 0, None)
        columns["stage"] = numbers[position]
        columns["stage_epoch"] = columns["epoch"] - epochs[starts[position]] + 1
