"""What a run came to, in a few numbers: the best value of every metric, with its epoch and stage."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from workbench.names import direction, is_better
from workbench.tracking.branch_history import all_rows
from workbench.tracking.remarks import remarks
from workbench.tracking.rows import EpochRecord
from workbench.tracking.runs import read_state
from workbench.tracking.store import Store


def best_values(rows: Iterable[EpochRecord]) -> dict[str, dict[str, float]]:
    """Return {metric: {"value", "epoch", "stage"}}: the first best epoch; NaN is never best.

    A metric of which nobody knows whether it should fall or rise has no best.
    """
    best: dict[str, dict[str, float]] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if direction(name) is None or math.isnan(value):
                continue
            # Strictly better: of equal epochs the first counts, as it does for checkpoints.
            if is_better(name, value, best[name]["value"] if name in best else None):
                best[name] = {"value": value, "epoch": row.epoch, "stage": row.stage}
    return best


def summary(store: Store, run: str) -> dict[str, Any]:
    """Return the line that `--json` prints of a run: run, study, name, status and best values.

    A record that is not sound has `remarks` too, the words that `show` and `list` say of it.
    """
    state = read_state(store, run)
    start = state.start
    found = {
        "run": run,
        "study": start.study if start else "",
        "name": start.name if start else "",
        "status": state.status,
        "best": best_values(all_rows(state.journal)),
    }
    noted = remarks(state.journal)
    return {**found, "remarks": noted} if noted else found
