"""The shapes that a learning curve may take: one literal table, every shape falling from 1 to 0.

A curve is `floor + c + a * shape(x)` with c, a >= 0: linear in c and a, so a fit is a grid over the
few shape parameters with a closed form at each point, which can neither run away nor fail. Time
constants reach from under one epoch to a small multiple of the epoch that is asked for, no further:
a curve that would change only later than that cannot be told from a straight line today.

`x` is the epoch within the fitted part, from 1, or the learning rate summed up to it (analysis.forecast.lr_effects).
Sources: T. Domhan, J. Springenberg, F. Hutter, "Speeding up automatic hyperparameter optimization of
deep neural networks by extrapolation of learning curves", IJCAI 2015, lists most of the names; T. Viering,
M. Loog, "The shape of learning curves: a review", 2021, the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Family:
    """One family: `shape(x, *parameters)` and the grid of its parameters up to epoch T.

    `weight` is how much it counts before any back-test; S-shaped families fit the start of a curve that
    is not S-shaped too readily, so they get half.
    """

    shape: Callable[..., Array]
    grid: Callable[[float], list[tuple[float, ...]]]
    weight: float = 1.0


def _times(low: float, high: float, count: int) -> list[float]:
    return [float(value) for value in np.geomspace(low, max(high, 1.5 * low), count)]


def _pairs(T: float) -> list[tuple[float, ...]]:
    times = _times(0.8, 1.5 * T, 6)
    return [(s, t, w) for s, t in product(times, times) if s < 0.9 * t for w in (0.4, 0.75)]


def _falling(x: Array) -> Array:
    return 1 / (1 + np.exp(np.clip(x, -50, 50)))


FAMILIES: dict[str, Family] = {
    "exponential": Family(
        lambda x, t: np.exp(-(x - 1) / t), lambda T: [(t,) for t in _times(0.8, 1.5 * T, 14)]
    ),
    "stretched exponential": Family(
        lambda x, t, b: np.exp(-((x / t) ** b)),
        lambda T: list(product(_times(0.5, 2 * T, 10), (0.4, 0.6, 0.8))),
    ),
    "double exponential": Family(
        lambda x, s, t, w: w * np.exp(-(x - 1) / s) + (1 - w) * np.exp(-(x - 1) / t), _pairs
    ),
    "power law, 3 parameters": Family(
        lambda x, a: x**-a, lambda T: [(float(a),) for a in np.linspace(0.1, 2.0, 12)]
    ),
    "power law, 4 parameters": Family(
        lambda x, s, a: (1 + (x - 1) / s) ** -a,
        lambda T: list(product(_times(1.5, T, 6), (0.3, 0.6, 1.0, 1.6, 2.5))),
    ),
    "logistic": Family(
        lambda x, m, s: _falling((x - m) / s),
        lambda T: list(product(_times(2.0, T, 6), _times(1.0, T / 3, 4))),
        weight=0.5,
    ),
    "Janoschek": Family(  # alpha - (alpha - beta) exp(-k x^d), sigmoid for d > 1
        lambda x, t, d: np.exp(-((x / t) ** d)),
        lambda T: list(product(_times(2.0, 1.5 * T, 8), (1.3, 1.7, 2.3))),
        weight=0.5,
    ),
    "Weibull": Family(  # counted from the first recorded epoch
        lambda x, t, d: np.exp(-(((x - 1) / t) ** d)),
        lambda T: list(product(_times(1.0, 2 * T, 8), (0.5, 0.75, 1.25))),
    ),
    "MMF": Family(  # Morgan, Mercer, Flodin
        lambda x, k, d: 1 / (1 + (x / k) ** d),
        lambda T: list(product(_times(1.0, 1.5 * T, 9), (0.6, 1.0, 1.5, 2.2))),
    ),
    "Hill": Family(  # counted from the first recorded epoch
        lambda x, k, d: 1 / (1 + ((x - 1) / k) ** d),
        lambda T: list(product(_times(1.0, 1.5 * T, 7), (0.6, 1.0, 1.5))),
    ),
}


@dataclass(frozen=True)
class Bank:
    """All shapes on one axis: rows of `shapes` (grid points x epochs), `sizes` rows for each family."""

    names: tuple[str, ...]
    weights: Array
    shapes: Array
    sizes: Array


# Back-tests and neighbours ask for the same lengths again and again.
@lru_cache(maxsize=64)
def _bank(points: bytes, until: float) -> Bank:
    x = np.frombuffer(points)
    rows = []
    for family in FAMILIES.values():
        # All parameters of a family at once, so that a bank is a handful of array operations.
        columns = np.array(family.grid(until)).T[:, :, None]
        rows.append(family.shape(x[None, :], *columns))
    return Bank(
        tuple(FAMILIES),
        np.array([family.weight for family in FAMILIES.values()]),
        np.vstack(rows),
        np.array([len(row) for row in rows]),
    )


def bank(x: Array) -> Bank:
    """Return the shapes of all families at `x` (from 1, growing), time constants up to its length."""
    return _bank(np.ascontiguousarray(x, dtype=float).tobytes(), float(len(x)))
