"""What must be said where accuracies of old histories stand beside those of our own runs."""

from __future__ import annotations

from analysis.frames import Records
from workbench.names import is_evaluation

OLD = (
    "two conventions of accuracy: the history {} comes from the notebook's evaluation, which tries the highest tenth of "
    "impostor scores as thresholds (`top_tenth`); runs of the workbench record the exact best, never lower "
    "(`workbench verify` prints both)"
)


def convention_note(records: Records) -> str | None:
    """Return the line about two conventions of accuracy in one table; None where there is one.

    Old histories are `*_hist.json` files, which say nothing of how they were made.
    """
    runs = records.runs
    old = runs["origin"].astype(str).str.endswith(".json") & runs["id"].isna()
    if not old.any() or old.all():
        return None
    shared = {
        metric
        for metric, own in records.epochs.groupby("metric", observed=True)["run"]
        if is_evaluation(str(metric))
        and set(own) & set(runs["run"][old])
        and set(own) - set(runs["run"][old])
    }
    names = sorted(runs["name"][old].astype(str))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return OLD.format(shown) if shared else None
