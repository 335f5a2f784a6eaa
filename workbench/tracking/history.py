"""`history.json`: the accepted epochs of a run in the form of the field's `*_hist.json` files.

One list a metric, in the order of epochs; a metric measured in some epochs only has a shorter list.
Numbers that are not finite are NaN and Infinity there, as those files have them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from workbench.tracking.rows import EpochRecord

FILE = "history.json"


def history(rows: Iterable[EpochRecord]) -> dict[str, list[float]]:
    """Return the lists of values by metric."""
    lists: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.metrics.items():
            # No holes: the field's files have shorter lists for what is measured every few epochs.
            lists.setdefault(name, []).append(float(value))
    return lists


def history_text(rows: Iterable[EpochRecord]) -> str:
    """Return the text of `history.json`."""
    return json.dumps(history(rows))
