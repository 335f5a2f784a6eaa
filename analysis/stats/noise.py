"""How noisy a curve is: every estimate of the standard deviation of its noise from epoch to epoch, and why there are several.

All of them look at differences, for in these a curve's level vanishes, and in second differences a straight trend too. With
independent noise of variance s^2 a first difference has 2 s^2, a second one (1 - 2 + 1) has 6 s^2. What they must not be
misled by differs:

| estimate | formula | used where |
| --- | --- | --- |
| `of_plateau` | median of absolute first differences / (.6745 sqrt 2) | on plateaus: no trend, and a few real jumps must not count |
| `of_newest` | std of first differences / sqrt 2 | on a curve's last epochs alone: too few for a median |
| `robust` | 1.4826 median of absolute second differences / sqrt 6 | the size of an anneal's gain: falls of the rate must not count at all |
| `trimmed` | root mean square of second differences / sqrt 6 without the largest | the width of intervals: what jumps now and then is noise too |
| `usual_step` | 1.4826 median of absolute first differences | how high a spike must stand: steps, trend included |

They stay apart because the forecaster is frozen: its networks and factors were fitted to these very numbers, and the widths
that docs/forecast_scores.md reports rest on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
TO_STD = 1.4826  # from a median absolute deviation to the standard deviation, for normal noise: 1 / .6745
FEWEST = 6  # second differences that are looked at, where there are as many


def of_plateau(values: Sequence[float] | Array) -> float:
    """Return the noise of a curve that has no trend; NaN below three finite values in a row."""
    differences = np.diff(np.asarray(values, float))
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return math.nan
    return float(np.median(np.abs(differences)) / (0.674490 * math.sqrt(2)))


def of_newest(values: Array, epochs: int) -> float:
    """Return the noise of the last `epochs` values: it falls with the learning rate, so older ones say nothing."""
    return float(np.std(np.diff(values[-epochs:])) / np.sqrt(2))


def robust(values: Array) -> float:
    """Return the noise of the newer half of `values`, jumps left out; 0 for fewer than four."""
    if len(values) < 4:
        return 0.0
    second = _second_differences(values, (len(values) - 2) // 2)
    return float(TO_STD * np.median(np.abs(second)) / np.sqrt(6))


def trimmed(values: Array) -> float:
    """Return the noise of the newer half of `values`, the largest twentieth left out; 0 for fewer than three."""
    if len(values) < 3:
        return 0.0
    # Divided before the mean, and in `trimmed_logs` after it: the last digits of forecasts depend on it.
    square = _second_differences(values, (len(values) - 2) // 2) ** 2 / 6
    return float(np.sqrt(_smallest(square, 0.95).mean()))


def trimmed_logs(logs: Array) -> float:
    """Return the same of a curve's logs, the largest tenth left out, as the networks were trained on it."""
    square = _second_differences(logs, len(logs) // 2) ** 2
    return float(np.sqrt(np.mean(_smallest(square, 0.9)) / 6))


def usual_step(values: Array) -> float:
    """Return the size of a usual step from epoch to epoch, blind to spikes."""
    return TO_STD * float(np.median(np.abs(np.diff(values))))


def _second_differences(values: Array, newest: int) -> Array:
    return np.diff(values, 2)[-max(FEWEST, newest) :]


def _smallest(values: Array, share: float) -> Array:
    return np.sort(values)[: max(1, int(share * len(values)))]
