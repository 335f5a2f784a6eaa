"""Forecasts and decisions that were recorded during trainings, scored against what then happened."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.frames import Records, is_missing, per_epoch
from workbench.names import FINISHED, FORECAST_PREFIX, badness, lower_is_better

COLUMNS = (
    "run",
    "status",
    "forecasts",
    "error",
    "last_value_error",
    "coverage80",
    "brier",
    "stopped_at",
    "verdict",
)


def recorded(records: Records, metric: str) -> pd.DataFrame:
    """Return one row a run that recorded forecasts of `metric` (none: an empty frame).

    `error` and `last_value_error` are mean absolute errors of the final value over the epochs that had a forecast,
    `coverage80` the share of 80 percent intervals that hold it, `brier` the score of the chances. A run that was
    stopped has no final value of its own: its `verdict` says so, unless it was resumed to its end.
    """
    prefix = f"{FORECAST_PREFIX}{metric}"
    epochs, rows = per_epoch(records.epochs), []
    wide = epochs[epochs["metric"].astype(str).str.startswith(prefix) | (epochs["metric"] == metric)]
    for run, part in wide.groupby("run", observed=True):
        table = part.pivot_table(index="epoch", columns="metric", values="value", observed=True)
        if prefix in table and metric in table:
            status = records.runs.set_index("run")["status"].get(run)
            rows.append(_row(str(run), status, table, metric, prefix))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(run: str, status: object, table: pd.DataFrame, metric: str, prefix: str) -> dict[str, object]:
    rows = table[table[prefix].notna()]
    final = float(table[metric].dropna().iloc[-1])
    stop = table.get(f"{prefix}_stop")
    asked = None if stop is None or not (stop == 1).any() else int(stop.index[stop == 1][0])
    row: dict[str, object] = {"run": run, "status": status, "forecasts": len(rows), "stopped_at": asked}
    # A run that was stopped and then resumed tells what the stop would have cost.
    went_on = asked is None or asked < int(table.index.max())
    if not went_on or not (is_missing(status) or status == FINISHED):
        return {
            **row,
            "verdict": "stopped: what it would have reached is not known" if asked else "not finished",
        }
    row["error"] = float((rows[prefix] - final).abs().mean())
    row["last_value_error"] = float((rows[metric] - final).abs().mean())
    covered = (rows[f"{prefix}_low"] <= final) & (final <= rows[f"{prefix}_high"])
    row["coverage80"] = float(covered.mean())
    chance, beat = f"{prefix}_chance", f"{prefix}_beat"
    if chance not in rows:
        return {**row, "verdict": ""}
    lower = lower_is_better(metric)
    beaten = (badness(final, lower) < badness(rows[beat], lower)).astype(float)
    row["brier"] = float(((rows[chance] - beaten) ** 2).mean())
    if asked is None:
        return {**row, "verdict": ""}
    return {**row, "verdict": "would have been wrong" if np.any(beaten == 1) else "would have been right"}
