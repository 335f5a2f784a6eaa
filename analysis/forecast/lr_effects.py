"""What the learning-rate schedule does to a curve: progress by summed rate, and the gain of annealing.

Two effects, after Tissue, Wang & Wang, "Scaling law with learning rate annealing", 2024 (arXiv:2408.11029):
progress follows the sum of the learning rates, and lowering the rate takes away the error that the noise
of large steps causes. Here the second is sized by the noise of the curve itself: lowering the rate from
its peak to nothing lowers the curve by `gain` standard deviations of the noise seen at high rates, in
proportion to 1 - rate / peak. A curve without noise gains nothing; a restart gives the gain back.
"""

from __future__ import annotations

import numpy as np

from analysis.forecast.fit import solve
from analysis.forecast.settings import Settings
from analysis.stats import noise

Array = np.ndarray
MATTERS = 0.02  # a schedule that never falls by more than this share of its peak is a constant one


def relative(rates: Array) -> Array:
    """Return each epoch's learning rate over the highest so far, in (0, 1]."""
    peak = np.maximum.accumulate(np.maximum(rates, 0))
    return np.where(peak > 0, rates / np.where(peak > 0, peak, 1), 1.0)


def axis(rates: Array) -> Array:
    """Return the progress axis: 1 at the first epoch, then the sum of the relative rates."""
    share = relative(rates)
    return 1 + np.concatenate([[0.0], np.cumsum(share[1:])])


def breaks(rates: Array, ratio: float) -> list[int]:
    """Return the indices (0-based) of epochs whose rate differs from the one before by `ratio` or more."""
    rates = np.maximum(rates, 1e-30)
    step = np.abs(np.diff(np.log(rates)))
    return [int(index) + 1 for index in np.flatnonzero(step >= np.log(ratio))]


def annealing(
    y: Array, weights: Array, rates: Array, shapes: Array, is_loss: bool, settings: Settings
) -> tuple[float, float]:
    """Return the gain of a full anneal and its uncertainty (a standard deviation), in units of `y`.

    `y` (n,) is the seen part above its floor, `weights` (n,) its weights, `rates` (n or more,) the schedule,
    `shapes` a bank on the progress axis. The possible gains are weighed by how well the shapes fit the
    curve once the gain is given back; until the rate has moved all fit alike, and the prior stands.
    """
    n = len(y)
    annealed = 1 - relative(rates)[:n]
    high = np.flatnonzero(annealed < annealed.min() + 0.3)
    # Noise at high rates only: after an anneal it is gone, and the gain is measured by what there was.
    size = noise.robust(y[: high[-1] + 1])
    level = float(np.median(y[-3:]))
    if is_loss:
        gains, prior = np.array(settings.loss_gains) * level, np.array(settings.loss_gain_weights)
    else:
        gains = np.minimum(np.array(settings.gains) * size, settings.gain_cap * level)
        prior = np.array(settings.gain_weights)
    log = np.empty(len(gains))
    for k, gain in enumerate(gains):
        square = solve(shapes, y + gain * annealed, weights[:, None])[2][:, 0]
        # The small terms keep a perfect fit from deciding alone.
        each = -0.5 * n * np.log(square + 1e-4 * size**2 + 1e-14)
        log[k] = np.log(np.mean(np.exp(each - each.max()))) + each.max()
    # Half the evidence: neighbouring epochs err together, so n of them are worth about n / 2.
    posterior = prior * np.exp(np.clip(0.5 * (log - log.max()), -30, 0))
    posterior /= posterior.sum()
    mean = float(posterior @ gains)
    return mean, float(np.sqrt(max(posterior @ gains**2 - mean**2, 0.0)))
