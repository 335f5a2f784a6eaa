"""Curves of runs as a reader needs them: computed here, drawn in `analysis.figures.draw`.

Stage borders and labels come from the records, legends from differences. A branched run goes on from
its trunk, seeds become a mean with a band, a missing epoch stays a gap, a value that is not finite is
marked where it happened, and losses that mean different things never share an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.branches import SHARED
from analysis.figures.draw import draw
from analysis.figures.panel import Curve, Panel
from analysis.figures.style import PALETTE, Look
from analysis.frames import Records, best, is_missing, run_frame, run_labels
from analysis.stats.loss_axes import LossAxis, less_regulariser, loss_keys
from analysis.stats.rate_breaks import rate_breaks
from workbench.errors import InputError, RecordError, suggestion
from workbench.names import ACCURACY, LEARNING_RATE, LOSS, direction, is_evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_curves(
    frame: Records | pd.DataFrame,
    metrics: Sequence[str] | str | None = None,
    by: str = "stage",
    *,
    labels: Mapping[str, str] | None = None,
    hidden: Sequence[str] = (),
    from_epoch: int = 1,
    loss_max: float | None = None,
    reference: Mapping[str, float] | None = None,
    without_regulariser: bool = False,
    smooth: int = 0,
    title: str = "",
    width: float | None = None,
    columns: int | None = None,
    style: str = "plain",
    palette: str = PALETTE,
) -> Figure:
    """Draw curves: a panel a metric, and several where losses are not comparable.

    Args:
        frame: `Records` of `analysis.load`, or their `epochs` frame alone.
        metrics: One or several names; None: loss, accuracy, the evaluation sets and the learning rate.
        by: "stage" draws borders and marks each stage's best, "run" marks the run's best alone.
        labels: Legends by run, instead of what tells the runs apart.
        hidden: Runs that are left out.
        from_epoch: The first epoch drawn, 1-based.
        loss_max: Upper end of the axis of `loss`.
        reference: Horizontal lines by metric.
        without_regulariser: Draw each loss less its `regular_loss`.
        smooth: Epochs of a running mean on top of the raw line; 0 and 1: none.
        title: Stands above all panels.
        width: Inches.
        columns: Panels a row.
        style: "plain", "paper", "talk" or "dark".
        palette: A name of seaborn or matplotlib, or colours such as "#0072B2,red".

    Returns:
        A matplotlib figure; `analysis.save` writes it.

    Raises:
        InputError: An unknown `by`, style or palette.
        RecordError: An unknown metric, runs with no epochs, a loss whose regulariser is not known.
    """
    if by not in ("stage", "run"):
        raise InputError(f"by={by!r}", expected="'stage' or 'run'")
    records = frame if isinstance(frame, Records) else from_epochs(frame)
    kept = [run for run in records.runs["run"] if run not in set(hidden)]
    made = panels(records.only(kept), metrics, by, labels or {}, without_regulariser)
    for panel in made:
        for name, value in (reference or {}).items():
            if name == panel.metric:
                panel.reference = (value, f"{value:g}")
        panel.top = loss_max if panel.metric == LOSS else None
    look = Look(title, width, columns, style, palette)
    return draw([window(panel, from_epoch) for panel in made], smooth=smooth, look=look)


def from_epochs(epochs: pd.DataFrame) -> Records:
    """Return records of an `epochs` frame alone: its runs know nothing but their names."""
    names = list(dict.fromkeys(epochs["run"]))
    return Records(run_frame([{"run": name, "name": name} for name in names]), epochs)


def default_metrics(records: Records) -> list[str]:
    """Return what a figure shows by default: loss, accuracy, learning rate, evaluation sets."""
    known = list(dict.fromkeys(records.epochs["metric"]))
    first = [name for name in (LOSS, ACCURACY) if name in known]
    sets = [name for name in known if is_evaluation(name) and not name.startswith("batch_")]
    validation = [name for name in known if name in ("val_loss", "val_accuracy")] if not sets else []
    return [*first, *validation, *sets, *([LEARNING_RATE] if LEARNING_RATE in known else [])] or known


def panels(
    records: Records,
    metrics: Sequence[str] | str | None,
    by: str,
    labels: Mapping[str, str],
    without_regulariser: bool = False,
) -> list[Panel]:
    """Compute all panels of a figure (see `plot_curves`), without drawing."""
    metrics = [metrics] if isinstance(metrics, str) else list(metrics or default_metrics(records))
    known = list(dict.fromkeys(records.epochs["metric"]))
    for name in metrics:
        if name not in known:
            raise RecordError(f"no metric {name!r}", do=suggestion(name, known))
    epochs = less_regulariser(records) if without_regulariser else records.epochs
    records = replace(records, epochs=epochs)
    groups = _groups(records, labels)
    made = []
    for name in metrics:
        rows = epochs[epochs["metric"] == name]
        keys = loss_keys(records, rows) if name == LOSS or name.endswith("_loss") else {}
        for key in dict.fromkeys(keys.values()) if keys else [None]:
            made.append(_panel(name, key, rows, keys, groups, by, records))
    borders, breaks = _borders(records, groups) if by == "stage" else ({}, {})
    for panel in made:
        low, high = panel.extent
        panel.borders = {x: found for x, found in borders.items() if low < x < high}
        here = {curve.label for curve in panel.curves}
        panel.breaks = [
            x for x, runs in sorted(breaks.items()) if low < x < high and x not in borders and runs & here
        ]
    return [panel for panel in made if panel.curves]


def _groups(records: Records, labels: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Return (label, runs) of every line: runs that differ in their seed or fold alone are one."""
    from analysis.tables.summary import seed_groups

    runs = records.runs
    members = [[runs["run"].iloc[position] for position in group] for group in seed_groups(runs)]
    firsts = runs[runs["run"].isin([group[0] for group in members])].reset_index(drop=True)
    found = run_labels(firsts)
    folds = _recipes(runs)
    groups = []
    for group in members:
        own = folds[group[0]] if group[0] in folds and len(group) > 1 else found[group[0]]
        text = next((labels[run] for run in group if run in labels), own)
        plain = text.rpartition(", seed")[0] if len(group) > 1 and ", seed" in text else text
        thing = "folds" if group[0] in folds else "seeds"
        groups.append((f"{plain} ({len(group)} {thing})" if len(group) > 1 else plain, group))
    return groups


def _recipes(runs: pd.DataFrame) -> dict[str, str]:
    """Return for each run that is a fold what its experiment is called."""
    if "fold.recipe" not in runs:
        return {}
    names = runs["fold.name"] if "fold.name" in runs else runs["fold.recipe"]
    facts = zip(runs["run"], names, runs["fold.recipe"])
    return {
        str(run): str(recipe if is_missing(name) else name)
        for run, name, recipe in facts
        if not is_missing(recipe)
    }


def _panel(
    metric: str,
    key: LossAxis | None,
    rows: pd.DataFrame,
    keys: Mapping[tuple[str, int], LossAxis],
    groups: Any,
    by: str,
    records: Records,
) -> Panel:
    curves = []
    if keys:
        pairs = zip(rows["run"], rows["stage"])
        rows = rows[
            np.fromiter((keys.get((str(run), int(stage))) == key for run, stage in pairs), bool, len(rows))
        ]
    parents = dict(zip(records.runs["run"], records.runs["parent"]))
    for label, members in groups:
        found = [line(rows[rows["run"] == run], metric, by) for run in members]
        found = [curve for curve in found if curve is not None]
        if not found:
            continue
        curve = found[0] if len(found) == 1 else band(found)
        curve.run, curve.label, curve.seeds = members[0], label, len(found)
        trunk = rows[rows["run"] == parents.get(members[0])]
        before = rows[(rows["run"] == members[0]) & (rows["attempt"] == SHARED)]
        curve.shared = 0.0 if before.empty else float(before["epoch"].max())
        curves.append(_joined(curve, trunk))
    panel = Panel(metric, metric, curves)
    if key is not None and curves:
        panel.title = key.title(metric, *panel.extent)
    return panel


def line(rows: pd.DataFrame, metric: str, by: str) -> Curve | None:
    """Return one run's curve of one metric: gaps for missing epochs, marks for values not finite.

    Several values within an epoch are spread evenly over it, in the order of their steps.
    """
    if rows.empty:
        return None
    rows = rows.assign(order=rows["step"].astype("float64")).sort_values(["epoch", "order"], kind="stable")
    epoch, value = rows["epoch"].to_numpy(), rows["value"].to_numpy(copy=True)
    counts = pd.Series(epoch).groupby(epoch)
    x = epoch - 1 + (counts.cumcount().to_numpy() + 1) / counts.transform("size").to_numpy()
    broken, last = [], np.nan
    for position, number in enumerate(value):
        if np.isfinite(number):
            last = number
        else:
            broken.append((float(x[position]), float(last), "NaN" if np.isnan(number) else f"{number:+}"))
    value[~np.isfinite(value)] = np.nan
    holes = np.flatnonzero(np.diff(epoch) > 1)
    x, value = np.insert(x, holes + 1, x[holes] + 0.5), np.insert(value, holes + 1, np.nan)
    stage = np.insert(rows["stage"].to_numpy(), holes + 1, 0)
    curve = Curve(str(rows["run"].iloc[0]), "", x.astype("float64"), value, broken=broken)
    curve.best = _best_positions(rows, stage, metric, by)
    return curve


def _best_positions(rows: pd.DataFrame, stage: np.ndarray, metric: str, by: str) -> list[int]:
    """Return the positions of the best values: of each stage, or of the run."""
    if metric == LEARNING_RATE or direction(metric) is None:  # nothing is called best by guess
        return []
    shown = np.flatnonzero(stage)  # positions of real values: holes carry stage 0
    frame = rows.assign(position=shown, run=rows["stage"].astype(str) if by == "stage" else "run")
    return best(frame, metric)["position"].tolist()


def band(curves: Sequence[Curve]) -> Curve:
    """Return the mean of several seeds' curves with their range as a band; gaps where any is missing."""
    x = np.unique(np.concatenate([curve.x[np.isfinite(curve.y)] for curve in curves]))
    values = np.full((len(curves), len(x)), np.nan)
    for row, curve in enumerate(curves):
        there = np.isfinite(curve.y)
        values[row, np.searchsorted(x, curve.x[there])] = curve.y[there]
    whole = np.isfinite(values).all(axis=0)
    mean = np.where(whole, values.mean(axis=0), np.nan)
    broken = [mark for curve in curves for mark in curve.broken]
    return Curve(curves[0].run, "", x, mean, values.min(axis=0), values.max(axis=0), broken=broken)


def _joined(curve: Curve, trunk: pd.DataFrame) -> Curve:
    """Begin a branch at the last point of its trunk before it."""
    earlier = trunk[(trunk["epoch"] < curve.x[0]) & np.isfinite(trunk["value"])]
    if earlier.empty or earlier["epoch"].max() < np.ceil(curve.x[0]) - 1:
        return curve
    last = earlier.sort_values(["epoch", "step"], kind="stable").iloc[-1]
    x, y = np.insert(curve.x, 0, last["epoch"]), np.insert(curve.y, 0, last["value"])
    return replace(curve, x=x, y=y, best=[position + 1 for position in curve.best])


def _borders(
    records: Records, groups: Any
) -> tuple[dict[float, tuple[str, list[str]]], dict[float, set[str]]]:
    """Return stage starts (x: name, labels of its runs) and breaks of the learning rate (x: labels)."""
    epochs = records.epochs
    borders: dict[float, tuple[str, list[str]]] = {}
    breaks: dict[float, set[str]] = {}
    label_of = {run: label for label, members in groups for run in members}
    firsts = epochs.groupby(["run", "stage", "stage_name"], observed=True)["epoch"].min()
    for (run, stage, name), first in firsts.items():
        if stage > 1 or first > 1:
            shown = "" if name in ("", f"stage {stage}") else str(name)
            old, runs = borders.get(first - 0.5, (shown, []))
            borders[first - 0.5] = (old if old == shown else "", list(dict.fromkeys([*runs, label_of[run]])))
    rates = epochs[epochs["metric"] == LEARNING_RATE]
    for run, own in rates.groupby("run", observed=True):
        last = own.sort_values(["epoch", "step"], kind="stable").drop_duplicates("epoch", keep="last")
        for x in rate_breaks(last):
            breaks.setdefault(x, set()).add(label_of[run])
    return borders, breaks


def window(panel: Panel, from_epoch: int) -> Panel:
    """Return the panel from an epoch on; curves that end before it are dropped."""
    if from_epoch <= 1:
        return panel
    curves = []
    for curve in panel.curves:
        there = curve.x >= from_epoch
        if there.any():
            cut = int(np.argmax(there))
            parts = {
                name: None if v is None else v[cut:] for name, v in (("low", curve.low), ("high", curve.high))
            }
            kept = [position - cut for position in curve.best if position >= cut]
            broken = [mark for mark in curve.broken if mark[0] >= from_epoch]
            curves.append(replace(curve, x=curve.x[cut:], y=curve.y[cut:], best=kept, broken=broken, **parts))
    borders = {x: found for x, found in panel.borders.items() if x > from_epoch}
    return replace(panel, curves=curves, borders=borders, breaks=[x for x in panel.breaks if x > from_epoch])
