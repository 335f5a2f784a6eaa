"""The published update of every rule in NumPy, written from the papers: what the tests compare with.

A rule is a function of settings that returns `step(w, g, lr) -> w` with its state inside. Arrays of one
whole layer, float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Step = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def sgd(momentum: float = 0.0, nesterov: bool = False) -> Step:
    v: np.ndarray | float = 0.0

    def step(w, g, lr):
        nonlocal v
        v = momentum * v - lr * g
        return w + (momentum * v - lr * g if nesterov else v)

    return step


def adam(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-7) -> Step:
    m, v, k = 0.0, 0.0, 0

    def step(w, g, lr):
        nonlocal m, v, k
        m, v, k = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g, k + 1
        return w - lr * math.sqrt(1 - b2**k) / (1 - b1**k) * m / (np.sqrt(v) + epsilon)

    return step


def adamax(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-7) -> Step:
    m, u, k = 0.0, 0.0, 0

    def step(w, g, lr):
        nonlocal m, u, k
        m, u, k = b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g)), k + 1
        return w - lr / (1 - b1**k) * m / (u + epsilon)

    return step


def nadam(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-7) -> Step:
    m, v, k, product = 0.0, 0.0, 0, 1.0

    def step(w, g, lr):
        nonlocal m, v, k, product
        k += 1
        now, then = (b1 * (1 - 0.5 * 0.96 ** (0.004 * n)) for n in (k, k + 1))
        product *= now
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        mean = (1 - now) * g / (1 - product) + then * m / (1 - product * then)
        return w - lr * mean / (np.sqrt(v / (1 - b2**k)) + epsilon)

    return step


def lamb(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-6) -> Step:
    m, v, k = 0.0, 0.0, 0

    def step(w, g, lr):
        nonlocal m, v, k
        m, v, k = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g, k + 1
        r = m / (1 - b1**k) / (np.sqrt(v / (1 - b2**k)) + epsilon)
        return w - lr * np.linalg.norm(w) / np.linalg.norm(r) * r

    return step


def rectified_adam(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-7) -> Step:
    m, v, k = 0.0, 0.0, 0

    def step(w, g, lr):
        nonlocal m, v, k
        m, v, k = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g, k + 1
        longest = 2 / (1 - b2) - 1
        length = longest - 2 * k * b2**k / (1 - b2**k)
        mean = m / (1 - b1**k)
        if length < 5:
            return w - lr * mean
        top = (length - 4) * (length - 2) * longest
        bottom = (longest - 4) * (longest - 2) * length
        return w - lr * math.sqrt(top / bottom) * mean / (np.sqrt(v / (1 - b2**k)) + epsilon)

    return step


def lookahead(inner: Step, period: int, share: float) -> Callable[[np.ndarray], Step]:
    """Return what makes the rule of the first slow weights, which are those before any decay."""

    def begin(slow):
        k = 0

        def step(w, g, lr):
            nonlocal slow, k
            w, k = inner(w, g, lr), k + 1
            if k % period == 0:
                slow = slow + share * (w - slow)
                w = slow
            return w

        return step

    return begin
