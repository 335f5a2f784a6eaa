"""Where a learning rate breaks: its drops and restarts, at which curves and verdicts are split."""

from __future__ import annotations

import pandas as pd

DROP, RESTART = 0.51, 1.5  # ratios of the learning rate from one epoch to the next that are breaks


def rate_breaks(rates: pd.DataFrame) -> set[float]:
    """Return where a learning rate drops at once, or rises again after falling or standing still."""
    epoch, rate = rates["epoch"].to_numpy(), rates["value"].to_numpy()
    found = set()
    for i in range(1, len(rate)):
        drop = rate[i] <= DROP * rate[i - 1]
        restart = rate[i] >= RESTART * rate[i - 1] and i > 1 and rate[i - 1] <= rate[i - 2]
        if (drop or restart) and epoch[i] == epoch[i - 1] + 1 and rate[i - 1] > 0:
            found.add(float(epoch[i]) - 0.5)
    return found if len(found) <= len(rate) / 4 else set()  # a rate that drops all the time has no breaks
