"""What curves of many tasks did from here: small networks from a curve's features to quantiles of its future.

`population.json` holds networks trained by `tests/benchmarks/train_forecast.py` on public curves of several sources
and on simulated ones. Each network has seen all sources but one, so that a forecast of a source can be scored by the
networks that do not know it (`Population.without`). Curves of a source err together; that is why the quantiles of
a network, right for the sources it has seen, are moved apart by factors fitted on the sources it has not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from analysis.forecast.distribution import ordered
from analysis.forecast.features import Features

Array = np.ndarray
FILE = "population.json"
MIDDLE = 3  # the index of the median among `distribution.LEVELS`
CLIP = 4.0  # standard deviations: a feature further out says no more than this
MOST = 8.0  # units between neighbouring quantiles


@dataclass(frozen=True)
class Network:
    """One hidden layer and a linear path beside it, to the median and the logs of the steps between quantiles."""

    left_out: str
    mean: Array
    std: Array
    weights: Sequence[Array]

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Network:
        """Return the network that a JSON object describes."""
        weights = [np.array(each, dtype=float) for each in stored["weights"]]
        return cls(stored["left_out"], np.array(stored["mean"]), np.array(stored["std"]), weights)

    def quantiles(self, table: Array) -> Array:
        """Return quantiles (levels, rows) in units for rows of features."""
        # Clipped: outside of what it has seen a network says anything.
        inputs = np.clip((table - self.mean) / self.std, -CLIP, CLIP)
        enter, enter_bias, leave, leave_bias, beside = self.weights
        raw = np.tanh(inputs @ enter + enter_bias) @ leave + leave_bias + inputs @ beside
        raw = np.clip(raw, -MOST, MOST).T
        # Steps between quantiles are positive by construction (softplus), so they never cross.
        steps = np.logaddexp(0.0, raw)
        found = np.empty_like(raw)
        found[MIDDLE] = raw[MIDDLE]
        found[MIDDLE + 1 :] = raw[MIDDLE] + np.cumsum(steps[MIDDLE + 1 :], axis=0)
        found[:MIDDLE] = raw[MIDDLE] - np.cumsum(steps[:MIDDLE][::-1], axis=0)[::-1]
        return found


@dataclass(frozen=True)
class Population:
    """Networks and the factors that move their quantiles apart.

    `widening` (knots, levels) holds the factors at `ahead` (knots,): logs of the share of the way seen so far.
    """

    networks: tuple[Network, ...]
    ahead: Array
    widening: Array
    record: Mapping[str, Any]

    def without(self, source: str) -> Population:
        """Return the population that has not seen the curves of `source`."""
        # The other way round than it sounds: the network that left `source` out is the one that does not know
        # it.
        kept = tuple(network for network in self.networks if network.left_out == source)
        return Population(kept, self.ahead, self.widening, self.record) if kept else self

    def quantiles(self, features: Features, ahead: Array) -> Array:
        """Return quantiles (levels, targets) of logs over the present level; `ahead` is log(seen / target)."""
        # The mean of the networks before the widening, as the factors were fitted on it.
        units = np.mean([network.quantiles(features.table) for network in self.networks], axis=0)
        return ordered(widened(units, ahead, self.ahead, self.widening) * features.unit)


def widened(units: Array, ahead: Array, knots: Array, widening: Array) -> Array:
    """Return quantiles (levels, rows) moved away from their medians by the factors at `ahead` (rows,)."""
    # Away from the median only: a factor must not move the forecast itself.
    middle = units[MIDDLE]
    factors = np.array([np.interp(ahead, knots, column) for column in widening.T])
    return middle + factors * (units - middle)


@lru_cache(maxsize=1)
def population() -> Population:
    """Return the population that comes with the project."""
    # Once a process: 140 kB of JSON are read for each of a hundred runs otherwise.
    stored = json.loads(files("analysis.forecast").joinpath(FILE).read_text(encoding="utf-8"))
    networks = tuple(Network.read(each) for each in stored["networks"])
    return Population(networks, np.array(stored["ahead"]), np.array(stored["widening"]), stored["record"])
