"""What the sources of MLflow records share: types of parameters, facts of a run, steps as epochs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.frames import INFERRED, MEASURED, Notes, RunData
from analysis.sources.epoch_table import EPOCH, FRACTION, Table, axis_of, shift_of
from workbench import names
from workbench.security.foreign_names import is_count
from workbench.spec.labels import value_text

TAG_REGULARISER = "workbench.loss_regulariser"  # whether a recorded loss includes or excludes it
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
STAGE_SETTING = re.compile(r"stages\.(\d+)\.(?:epochs|name)")
STATUS = {
    "RUNNING": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
    "SCHEDULED": "running",
}


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
        "status": tags.get(names.TAG_STATUS) or STATUS.get(status, status.lower() or "finished"),
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


# Steps and values by metric, in the order of their times.
Points = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass
class Steps:
    """How another program's steps become epochs: `epochs` of the `known` steps, and of what kind that is."""

    known: np.ndarray
    epochs: np.ndarray
    kind: str
    left_out: tuple[str, ...]  # metrics that are the epoch itself
    numbered: tuple[str, ...]  # metrics whose values have no steps: their order counts

    def of(self, metric: str, steps: np.ndarray) -> np.ndarray:
        """Return the epochs of a metric's values."""
        if metric in self.numbered:
            return np.arange(1, len(steps) + 1)
        return self.epochs[np.minimum(np.searchsorted(self.known, steps), len(self.known) - 1)]

    def kind_of(self, metric: str) -> str:
        return INFERRED if metric in self.numbered else self.kind


def steps_as_epochs(points: Points, notes: Notes, epochs_from: int | None = None) -> Steps:
    """Say how the steps of another program's run become epochs.

    A metric `epoch` says it (Lightning); steps that count one by one are epochs; others, such as steps of
    training or milliseconds, are inferred. Values that all have step 0 were logged without one.
    """
    numbered = tuple(n for n, (steps, _) in points.items() if len(steps) > 1 and not np.any(steps))
    marks = {n: own for n, own in points.items() if EPOCH.fullmatch(n.strip()) and n not in numbered}
    usual = {n: own for n, own in points.items() if n not in marks and n not in numbered and len(own[0])}
    if numbered:
        notes.add("values without steps: numbered in their order (inferred)")
    steps = np.unique(np.concatenate([own[0] for own in usual.values()])) if usual else np.zeros(1, "int64")
    columns, present = {"step": steps.astype("float64")}, {"step": np.ones(len(steps), bool)}
    for name, own in usual.items():
        present[name] = np.isin(steps, own[0])
        columns[name] = np.where(present[name], 0.0, np.nan)
    for own in marks.values():
        at = np.searchsorted(steps, own[0]).clip(max=len(steps) - 1)
        columns["epoch"] = np.full(len(steps), np.nan)
        columns["epoch"][at] = own[1]
        present["epoch"] = ~np.isnan(columns["epoch"])
    axis = axis_of(Table(columns, present, np.full(len(steps), -1)), notes)
    epochs = np.ceil(axis.epochs - FRACTION).astype("int64") + shift_of(axis, notes, epochs_from)
    kind = MEASURED if axis.counted else INFERRED
    return Steps(steps, np.maximum(epochs, 1), kind, tuple(marks), numbered)


def add_metrics(
    data: RunData,
    points: Points,
    tags: Mapping[str, str],
    notes: Notes,
    lines: Mapping[str, np.ndarray] | None = None,
    epochs_from: int | None = None,
) -> None:
    """Add the metrics of a run: our own steps are epochs, another program's are looked at."""
    how = None if names.TAG_RUN in tags else steps_as_epochs(points, notes, epochs_from)
    for metric, (steps, values) in points.items():
        columns = {} if lines is None else {"line": lines[metric]}
        if how is None:
            data.add(metric, MEASURED, steps, values, **columns)
        elif metric not in how.left_out:
            if how.kind == INFERRED or how.left_out:
                columns["step"] = steps
            data.add(metric, how.kind_of(metric), how.of(metric, steps), values, **columns)


def place_by_metric(data: RunData) -> None:
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
