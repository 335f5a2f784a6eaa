"""Upward spikes of a few epochs, taken out of a curve before it is followed.

A loss that leaps to 30 for an epoch and comes back says nothing about its end, but would be taken for noise by a fit,
and two such epochs in a row for the start of another stage.
"""

from __future__ import annotations

import numpy as np

from analysis.stats.noise import usual_step

Array = np.ndarray
WIDEST = 3  # epochs of a spike; what stays up for longer is a shift
STEPS, SHARE = 12.0, 0.5  # how high a spike is: usual steps, and a share of the level beside it
SIDE = 0.3  # of its height, the most that the epochs beside it may be off the level
MOST_SHARE = 0.15  # of the epochs may be spikes; more of them are the curve's own noise
SHORTEST = 6  # epochs of a curve in which a spike can be recognised


def without_spikes(values: Array, seen: Array, first: int, notes: list[str]) -> tuple[Array, Array]:
    """Return values and marks with spikes taken out: their epochs count as not seen.

    A spike is up to three epochs far above those on either side, which do not follow it. At the last epoch, where
    nothing follows yet, it is a single one that doubles the level at the least.
    """
    if len(values) < SHORTEST:
        return values, seen
    usual = usual_step(values)
    found: list[int] = []
    # A cheaper look first: only where a step is high enough is the level on both sides worked out.
    for k in (np.flatnonzero(np.diff(values) > (1 - SIDE) * STEPS * usual) + 1).tolist():
        width = max((w for w in range(1, WIDEST + 1) if _is_spike(values, k, w, usual)), default=0)
        found += range(k, k + width)
    # All or none: with every second epoch a spike the curve itself is noise, and taking the upper half out
    # would flatter it.
    if not found or len(found) > MOST_SHARE * len(values):
        return values, seen
    # Copies, for the caller's arrays are the record as it was measured.
    values, seen = values.copy(), seen.copy()
    for k in found:
        # The value before it, as for a missing epoch: fits pass over it by its weight.
        values[k], seen[k] = values[k - 1], False
    where = ", ".join(str(first + k) for k in found)
    one = len(found) == 1
    notes.append(f"a spike at epoch {where} is left out" if one else f"spikes at epochs {where} are left out")
    return values, seen


def _is_spike(values: Array, k: int, width: int, usual: float) -> bool:
    """Tell whether the `width` epochs from index `k` stand out from those on both sides."""
    n, after = len(values), k + width
    if after > n or (after == n and width > 1):
        return False
    level = float(np.median(np.concatenate([values[max(0, k - 3) : k], values[after : after + 3]])))
    # The lowest epoch of it: each must stand out, or two spikes would swallow the epochs between them.
    height = float(values[k:after].min()) - level
    if after == n:  # the epoch before must not be rising already: that would be a loss that diverges
        most, apart = max(STEPS * usual, SHARE * abs(level)), abs(float(values[k - 1]) - level)
        return height > max(most, 2 * SHARE * abs(level)) and apart < min(most, SIDE * height)
    apart = float(np.abs(values[[k - 1, after]] - level).max())
    return height > max(STEPS * usual, SHARE * abs(level)) and apart < SIDE * height
