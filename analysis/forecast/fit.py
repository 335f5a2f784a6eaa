"""Fit every shape to every back-test origin at once: closed forms over a grid, no optimiser.

With weights w, each grid point's c and a of  y = c + a * shape  are the weighted least-squares solution,
held to c >= 0 (the floor) and a >= 0 (curves of error and loss fall); all grid points and all origins
come out of three matrix products. A family's forecast is the mean over its grid, weighted by the
likelihood of each point, which is steadier than its single best point.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
TINY = 1e-300


def solve(shapes: Array, y: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Return c, a and the weighted mean square residual, each (grid points, origins).

    `shapes` is (grid points, at least n), `y` (n,) and `weights` (n, origins).
    """
    phi = shapes[:, : len(y)]
    total = weights.sum(0)
    y1, y2 = weights.T @ y, weights.T @ (y * y)
    p1, p2 = phi @ weights, (phi * phi) @ weights
    py = phi @ (weights * y[:, None])
    spread = total * p2 - p1**2
    # A shape that is constant over what was seen tells nothing about its amount.
    known = spread > 1e-10 * total * p2
    a = np.where(known, (total * py - p1 * y1) / np.where(known, spread, 1.0), 0.0).clip(0.0)
    c = (y1 - a * p1) / total
    # Held at the floor, the best amount is another one, so it is fitted again without the constant.
    low = c < 0
    a = np.where(low, (py / np.maximum(p2, TINY)).clip(0.0), a)
    c = np.where(low, 0.0, c)
    square = y2 - 2 * c * y1 - 2 * a * py + c * c * total + 2 * a * c * p1 + a * a * p2
    return c, a, np.maximum(square, 0.0) / total


def likelihood(square: Array, total: Array) -> Array:
    """Return each grid point's likelihood relative to the best one of its origin.

    `square` is the mean square residual (grid points, origins), `total` the sum of weights per origin.
    The 1e-3 keeps a curve without noise from putting all weight on one point of a coarse grid.
    """
    relative = square / (square.min(0) + TINY)
    log = -0.5 * total * np.log(relative + 1e-3)
    return np.exp(log - log.max(0))


def families(shapes: Array, sizes: Array, y: Array, weights: Array, outlier: float, rounds: int = 2) -> Array:
    """Return the forecasts of all families from all origins at all epochs: (families, origins, T).

    `sizes` are the families' numbers of rows in `shapes`. After each round but the last, weights of points
    further than `outlier` robust deviations from the joint fit are lowered (Huber's weights).
    """
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    robust = weights
    for left in reversed(range(rounds)):
        c, a, square = solve(shapes, y, robust)
        like = likelihood(square, robust.sum(0))
        # Weights of outliers come from the joint fit of all shapes: each shape by itself
        # would call outlier what it cannot follow.
        if left:
            joint = like / like.sum(0)
            fitted = shapes[:, : len(y)].T @ (joint * a) + (joint * c).sum(0)
            robust = weights * huber(y[:, None] - fitted, weights > 0, outlier)
    # Within each family: a family with a finer grid must not count more than one with a coarse one.
    within = like / np.repeat(np.add.reduceat(like, starts, 0), sizes, 0).clip(TINY)
    constant = np.add.reduceat(within * c, starts, 0)
    amount = within * a
    curves = [amount[s : s + k].T @ shapes[s : s + k] for s, k in zip(starts, sizes, strict=True)]
    return np.stack(curves) + constant[:, :, None]


def huber(residual: Array, seen: Array, outlier: float) -> Array:
    """Return weights in (0, 1] for residuals (n, origins): 1 within `outlier` robust deviations."""
    size = np.abs(residual)
    deviation = 1.4826 * np.array([np.median(size[s, k]) for k, s in enumerate(seen.T)])
    limit = outlier * deviation
    return np.where(size > limit, limit / np.maximum(size, TINY), 1.0).clip(1e-3)
