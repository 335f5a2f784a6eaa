"""The stopping rule acts only on a record that supports it, and a study's own finished runs may veto it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.forecast import ForecastStopping
from analysis.forecast.curve import Curve
from analysis.forecast.population import population
from analysis.forecast.stop_rule import ALONE, ENOUGH, LIMITS, WITH_OTHERS, replay, stop_rule


def record(*wrong: float) -> dict:
    """Return a record with these shares of lost successes at the first limits, too many at the others."""
    filled = [*wrong, *[0.4] * (len(LIMITS) - len(wrong))]
    return {"curves": 100, "families": 5, "wrong": filled, "worst": filled, "hopeless": [0.5] * len(LIMITS)}


def known(alone: dict, others: dict | None = None):
    return replace(population(), record={ALONE: alone, WITH_OTHERS: others or alone})


def late(number: int, fall: float) -> Curve:
    t, noise = np.arange(40), 0.002 * np.random.default_rng(number).normal(size=40)
    values = 0.4 * np.exp(-t / 3) + 0.4 - fall * (t >= 30) + noise
    return Curve(metric="val_error", values=values.tolist(), finished=True, run=f"r{number}")


def test_the_largest_supported_limit_up_to_what_was_asked_is_taken() -> None:
    population_of = known(record(0.01, 0.03, 0.05))
    assert stop_rule(0.05, (), population_of).limit == LIMITS[2]
    assert stop_rule(0.0006, (), population_of).limit == LIMITS[1]
    assert "100 public curves" in stop_rule(0.05, (), population_of).words


WORST_FAMILY = record(0.01) | {"worst": [0.5] * len(LIMITS)}


@pytest.mark.parametrize("unsupported", [record(), record(0.06), WORST_FAMILY])
def test_without_support_nothing_is_stopped_and_the_start_says_so(unsupported: dict) -> None:
    watcher = ForecastStopping("val_error", beat=0.05, stop_below=0.05, grace=5, known=known(unsupported))
    assert watcher.rule.limit is None
    assert "not enough evidence to stop" in watcher.opening()


def test_a_study_whose_good_runs_would_have_been_lost_vetoes_the_rule() -> None:
    surprising = [late(number, 0.3 if number % 2 else 0.0) for number in range(ENOUGH + 2)]
    supported = known(record(*[0.0] * len(LIMITS)))
    rule = stop_rule(0.1, surprising, supported)
    least = [replay(one, one.values[-1], (), supported).min() for one in surprising]
    assert min(least) < LIMITS[-1]
    assert rule.limit is None or rule.limit < LIMITS[-1]
    assert "of this study" in rule.words


def test_a_replay_tells_a_chance_at_every_origin() -> None:
    chances = replay(late(1, 0.0), 0.4)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert replay(late(1, 0.0), 0.9).min() > 0.9
