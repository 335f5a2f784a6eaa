"""Which losses can be compared: a softmax loss and an ArcFace loss at scale 64 are not one axis.

What a loss is comes from the settings where they say, else from its jumps at stage borders; whether the
regulariser is in it is part of what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frames import Records, is_missing, settings_of
from workbench.errors import RecordError
from workbench.names import LOSS, REGULAR_LOSS
from workbench.spec.labels import value_text

JUMP = 1.5  # a loss that begins a stage this many times higher than it ended the last is another loss
INCLUDES = "includes"


class LossAxis(NamedTuple):
    """What a loss is: stages with equal ones share an axis."""

    name: str = ""  # the loss and its scale; empty where only its values tell it from the one before
    after_jumps: int = 0  # without a name: how many jumps of the values lie before it
    regulariser: str = ""  # what is said of the regulariser, where runs say so differently

    def title(self, metric: str, first: float, last: float) -> str:
        """Return the title of its panel, whose curves go from epoch `first` to `last`."""
        said = f" {self.regulariser}" if self.regulariser else ""
        if self.name:
            return f"{metric}: {self.name}{said}"
        return f"{metric}, epochs {first:g} to {last:g}{said}"


def less_regulariser(records: Records) -> pd.DataFrame:
    """Return the epochs with each loss less its `regular_loss`, where the loss includes it.

    Raises `RecordError` for a run whose loss is not known to include or exclude it.
    """
    epochs = records.epochs
    regular = epochs[epochs["metric"] == REGULAR_LOSS].set_index(["run", "epoch"])["value"]
    meaning = loss_meanings(records.runs)
    unknown = [run for run in dict.fromkeys(regular.index.get_level_values("run")) if meaning[run] is None]
    if unknown:
        raise RecordError(
            f"whether the loss of {unknown[0]!r} includes the regulariser is not known",
            do="say --loss includes-regulariser or excludes-regulariser",
        )
    inside = (epochs["metric"] == LOSS) & epochs["run"].map(meaning).eq(INCLUDES).fillna(False).astype(bool)
    values = epochs["value"].copy()
    where = pd.MultiIndex.from_frame(epochs.loc[inside, ["run", "epoch"]])
    values[inside] -= regular[~regular.index.duplicated()].reindex(where).fillna(0).to_numpy()
    below = epochs[inside & (values < 0)]
    if len(below):
        raise RecordError(
            f"the loss of {below['run'].iloc[0]!r} less its regular_loss is below 0 in epoch {below['epoch'].iloc[0]}",
            do="it does not include the regulariser: draw it as it is",
        )
    return epochs.assign(value=values)


def loss_meanings(runs: pd.DataFrame) -> dict[str, str | None]:
    """Return whether each run's loss includes the regulariser; ours always do, others may say."""
    return {
        run: (None if is_missing(identity) else INCLUDES) if is_missing(stated) else str(stated)
        for run, identity, stated in zip(runs["run"], runs["id"], runs["loss_regulariser"])
    }


def loss_keys(records: Records, rows: pd.DataFrame) -> dict[tuple[str, int], LossAxis]:
    """Return for each run and stage what its loss is: stages with equal ones share an axis.

    From the settings where they say (`stages.2.loss`, its scale), else from the values: where the runs'
    losses begin a stage `JUMP` times higher (in the median) than they ended the one before, or than their
    trunk ended, another loss begins. Whether the regulariser is in it makes a difference too, where runs
    say so differently. Nothing at all means that everything shares one axis.
    """
    meaning = loss_meanings(records.runs)
    mixed = len({said for said in meaning.values() if said}) > 1
    settings = dict(zip(records.runs["run"], settings_of(records.runs)))
    ends = _stage_ends(rows)
    jumps = _jumps(ends, dict(zip(records.runs["run"], records.runs["parent"])))
    found: dict[tuple[str, int], LossAxis] = {}
    for run, stages in ends.items():
        for stage, (epoch, _, _) in stages.items():
            name = _loss_text(settings[run], stage)
            before = 0 if name else sum(jump <= epoch for jump in jumps)
            said = f"({meaning[run] or 'unknown if it includes'} the regulariser)" if mixed else ""
            found[run, stage] = LossAxis(name, after_jumps=before, regulariser=said)
    return found if len(set(found.values())) > 1 else {}


def _jumps(
    ends: Mapping[str, Mapping[int, tuple[int, float, float]]], parents: Mapping[str, Any]
) -> list[int]:
    """Return the epochs at which most runs that begin a stage there begin a much higher loss."""
    ratios: dict[int, list[float]] = {}
    for run, stages in ends.items():
        trunk = ends.get(parents.get(run) or "", {})
        before = max(trunk.values())[2] if trunk else None
        for epoch, first, last in stages.values():
            if before is not None and before > 0:
                ratios.setdefault(epoch, []).append(first / before)
            before = last
    return sorted(epoch for epoch, found in ratios.items() if np.median(found) > JUMP)


def _loss_text(settings: Mapping[str, Any], stage: int) -> str:
    parts = [f"stages.{stage}.loss"]
    if is_missing(settings.get(parts[0])):
        return ""
    scale = settings.get(f"{parts[0]}.scale")
    return value_text(settings[parts[0]]) + ("" if is_missing(scale) else f", scale {value_text(scale)}")


def _stage_ends(rows: pd.DataFrame) -> dict[str, dict[int, tuple[int, float, float]]]:
    """Return first epoch, first and last finite value of every run and stage, stages in order."""
    rows = rows[np.isfinite(rows["value"])].sort_values("epoch", kind="stable")
    found: dict[str, dict[int, tuple[int, float, float]]] = {}
    for (run, stage), own in rows.groupby(["run", "stage"], observed=True):
        values = own["value"]
        found.setdefault(str(run), {})[int(stage)] = (
            int(own["epoch"].iloc[0]),
            values.iloc[0],
            values.iloc[-1],
        )
    return found
