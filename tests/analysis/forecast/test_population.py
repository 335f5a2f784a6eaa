"""The distribution and the population behind it: quantiles in order, maps that invert, networks that leave out."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.forecast.curve import Curve, prepare
from analysis.forecast.distribution import (
    LEVELS,
    SCORES,
    at_score,
    ordered,
    probability_below,
    score,
)
from analysis.forecast.ensemble import fit_ensemble
from analysis.forecast.features import NAMES, features
from analysis.forecast.population import MIDDLE, population, widened
from analysis.forecast.settings import DEFAULT

ENDS = ordered(np.array([-2.0, -1.2, -0.5, -0.1, 0.0, 0.4, 0.5]))


@pytest.mark.parametrize("value", [-9.0, -2.5, -2.0, -0.7, -0.1, 0.2, 0.5, 3.0])
def test_a_value_and_its_normal_score_belong_to_one_another(value: float) -> None:
    result = score(ENDS, value)
    back = at_score(ENDS[:, None], np.array([[result]]))[0, 0]
    assert back == pytest.approx(value, abs=1e-6) or abs(result) == 6.0


def test_the_quantiles_have_the_scores_of_their_levels() -> None:
    assert [score(ENDS, end) for end in ENDS] == pytest.approx(SCORES.tolist())
    assert [probability_below(ENDS, end) for end in ENDS] == pytest.approx(LEVELS.tolist())
    assert probability_below(ENDS, 100.0) < 1
    assert probability_below(ENDS, -100.0) > 0


def test_equal_and_crossing_quantiles_are_put_in_order() -> None:
    assert (np.diff(ordered(np.array([0.0, 0.0, 1.0, 0.5, 0.5, 2.0, 2.0]))) > 0).all()


def test_widening_leaves_the_median_and_moves_the_rest() -> None:
    units = np.linspace(-3, 3, 7)[:, None] * np.ones((7, 2))
    knots, factors = np.log([0.25, 0.75]), np.array([[2.0] * 7, [1.0] * 7])
    found = widened(units, np.log([0.25, 0.75]), knots, factors)
    assert found[:, 0] == pytest.approx(2 * units[:, 0])
    assert found[:, 1] == pytest.approx(units[:, 1])


def curve(seed: int, n: int, scale: float = 1.0) -> Curve:
    noise = 0.01 * np.random.default_rng(seed).normal(size=n)
    values = scale * (0.6 * np.exp(-np.arange(n) / (3 + seed)) + 0.2 + noise)
    return Curve(metric="val_loss", values=values.tolist(), rates=[0.1] * 20 + [0.01] * (2 * n))


@pytest.mark.parametrize("n", [4, 7, 30])
def test_every_network_orders_its_quantiles_and_features_know_no_scale(n: int) -> None:
    tables = []
    for scale in (1.0, 1e3):
        prepared = prepare(curve(1, n, scale), 2 * n)
        result = features(prepared, fit_ensemble(prepared, DEFAULT), np.arange(n + 1, 2 * n + 1))
        assert result.table.shape == (n, len(NAMES))
        assert np.isfinite(result.table).all()
        tables.append(result.table)
        ends = population().quantiles(result, np.log(n / np.arange(n + 1, 2 * n + 1)))
        assert (np.diff(ends, axis=0) > 0).all()
        for network in population().networks:
            assert (np.diff(network.quantiles(result.table), axis=0) >= 0).all()
    assert tables[0] == pytest.approx(tables[1], abs=1e-6)


def test_a_population_without_a_source_asks_only_networks_that_have_not_seen_it() -> None:
    whole = population()
    sources = {network.left_out for network in whole.networks}
    assert len(sources) >= 5
    for source in sources:
        assert {network.left_out for network in whole.without(source).networks} == {source}
    assert whole.without("nothing of the kind") is whole
    assert whole.widening[:, MIDDLE] == pytest.approx(1.0)
