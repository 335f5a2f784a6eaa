"""Curves made up at random, so that the population also knows what no public log happens to show.

A curve is a floor and up to three decays over epochs or summed learning rates, plus what a fall of the learning rate
takes away, plus for some a rise at the end (overfitting), noise, slow drift, a level shift, spikes, rounding.
Every amount is drawn over a wide range: what must be learnt is how little can be known.
"""

from __future__ import annotations

import numpy as np

from analysis.forecast.curve import Curve

Array = np.ndarray
LENGTHS = (15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200, 240, 300)
PEAK = 0.1


def simulated(seed: int) -> Curve:
    """Return one finished curve with its schedule; the same seed gives the same curve."""
    rng = np.random.default_rng(seed)
    length = int(rng.choice(LENGTHS))
    rates = schedule(rng, length)
    progress = np.cumsum(rates ** rng.uniform(0, 1))
    progress = progress / progress[-1]
    y = _decays(rng, progress)
    if rates.min() < rates.max():
        y = y + _annealed(rng, rates, y)
    training = rng.random() < 0.4
    if training and rng.random() < 0.5:  # memorised: no floor is left at the end
        y = y * (1 - progress * rng.uniform(0, 0.98)) ** rng.uniform(0.5, 1.5)
    least = y.min()
    if not training and rng.random() < 0.3:
        y = y + least * _overfitting(rng, rates)
    y = np.maximum(_disturbed(rng, y, rates, training), 0.02 * least)
    error = rng.random() < 0.5
    name = ("error" if training else "val_error") if error else ("loss" if training else "val_loss")
    values = _as_error(rng, y) if error else y * 10 ** rng.uniform(-3, 1)
    return Curve(metric=name, values=values, rates=PEAK * rates, finished=True, run=f"simulated{seed}")


def schedule(rng: np.random.Generator, length: int) -> Array:
    """Return relative learning rates of a kind drawn at random."""
    t = np.arange(length) / length
    kinds = ("constant", "steps", "cosine", "warm-up", "linear", "power", "exponential", "late")
    kind = rng.choice(kinds, p=(0.2, 0.3, 0.15, 0.1, 0.07, 0.06, 0.07, 0.05))
    if kind == "constant":
        return np.ones(length)
    if kind == "steps":
        places = np.sort(rng.uniform(0.2, 0.97, int(rng.integers(1, 4))))
        return float(rng.choice([0.1, 0.1, 0.1, 0.2, 0.5])) ** (t[:, None] >= places).sum(1)
    if kind == "late":
        return np.where(t >= rng.uniform(0.8, 0.96), 0.1, 1.0)
    if kind == "linear":
        return 1 - t * rng.uniform(0.9, 0.999)
    if kind == "power":
        return (1 - t) ** 0.9 + 1e-4
    if kind == "exponential":
        return 10 ** (-t * rng.uniform(0.5, 3))
    warm = rng.uniform(0.02, 0.1) if kind == "warm-up" else 0.0
    falling = 0.5 * (1 + np.cos(np.pi * np.clip((t - warm) / (1 - warm), 0, 1))) + 1e-4
    return np.where(t < warm, (t + 1 / length) / max(warm, 1e-9), falling)


def _decays(rng: np.random.Generator, progress: Array) -> Array:
    floor = 10 ** rng.uniform(-2.5, -0.02) if rng.random() < 0.8 else 0.0
    total = np.zeros_like(progress)
    for share in rng.dirichlet([1, 1, 0.7]):
        kind, tau = rng.choice(3), 10 ** rng.uniform(-2.3, 0.3)
        if kind == 0:
            total += share * np.exp(-progress / tau)
        elif kind == 1:
            total += share * (1 + progress / tau) ** -rng.uniform(0.3, 2.5)
        else:
            total += share * np.exp(-((progress / tau) ** rng.uniform(0.3, 0.9)))
    return floor + (1 - floor) * total


def _annealed(rng: np.random.Generator, rates: Array, y: Array) -> Array:
    """Return what large steps add to the curve: it follows the learning rate, with a lag of some epochs."""
    amount = 10 ** rng.uniform(-2, 0.1) * rates ** rng.choice([0.2, 0.4, 0.7, 1.0, 1.5])
    if rng.random() < 0.5:
        amount = amount * np.minimum(1, y / y[-1] * rng.uniform(0.5, 1) / 2)
    lag = 1 - np.exp(-1 / 10 ** rng.uniform(-1.3, 0.9))
    found = np.empty_like(amount)
    found[0] = amount[0]
    for k in range(1, len(amount)):
        found[k] = found[k - 1] + lag * (amount[k] - found[k - 1])
    return found * y[-1] * (1 if rng.random() < 0.5 else rng.uniform(0.3, 3))


def _overfitting(rng: np.random.Generator, rates: Array) -> Array:
    begin, size = rng.uniform(0.02, 0.8), 10 ** rng.uniform(-1.7, 0.2)
    t = np.arange(1, len(rates) + 1) / len(rates)
    rise = (np.maximum(t - begin, 0) / (1 - begin)) ** rng.choice([0.7, 1, 1.5])
    return size * rise * (rates**0.2 if rng.random() < 0.5 else 1)


def _disturbed(rng: np.random.Generator, y: Array, rates: Array, training: bool) -> Array:
    length, calm = len(y), 0.2 if training else 1.0
    size, relative = calm * 10 ** rng.uniform(-3.5, -0.8), rng.choice([0, 0, 1, 0.5])
    noise = (
        size * np.clip(rng.standard_t(rng.choice([3, 5, 30]), length), -6, 6) * rates ** rng.uniform(0, 0.8)
    )
    y = y * (1 + relative * noise) + (1 - relative) * y[-1] * noise
    if rng.random() < 0.5:
        step, keep = calm * 10 ** rng.uniform(-3.5, -1.2), rng.choice([0.9, 0.97, 1.0])
        drift = np.zeros(length)
        for k, move in enumerate(rng.normal(size=length - 1) * step, 1):
            drift[k] = keep * drift[k - 1] + move
        y = y * np.exp(drift)
    if rng.random() < 0.04:
        y[int(rng.integers(1, length)) :] *= np.exp(0.2 * rng.normal())
    if rng.random() < 0.06:
        for _ in range(int(rng.integers(1, 3))):
            y[int(rng.integers(1, length))] *= 10 ** rng.uniform(0.2, 1.3)
    return y


def _as_error(rng: np.random.Generator, y: Array) -> Array:
    """Return an error between 0 and 1, often on the grid of a set of some thousand images."""
    values = np.clip(y / y.max() * 10 ** rng.uniform(-1.2, -0.02), 0, 1)
    count = rng.choice([500, 1000, 3000, 10000])
    return np.round(values * count) / count if rng.random() < 0.6 else values
