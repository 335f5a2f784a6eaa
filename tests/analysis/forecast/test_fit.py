"""The grid fits, the baselines and the weights against independent solvers and formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from analysis.forecast import ensemble, fit, lr_effects
from analysis.forecast.baselines import BASELINES, baselines, slope
from analysis.forecast.families import FAMILIES, bank
from analysis.forecast.settings import DEFAULT
from analysis.stats import noise


@pytest.mark.parametrize("name", FAMILIES)
def test_every_shape_falls_and_stays_between_zero_and_one(name: str) -> None:
    x = np.arange(1.0, 121)
    for parameters in FAMILIES[name].grid(120.0):
        shape = FAMILIES[name].shape(x, *parameters)
        assert shape.shape == x.shape
        assert np.isfinite(shape).all()
        assert shape.max() <= 1 + 1e-12
        assert shape.min() >= 0
        assert (np.diff(shape) <= 1e-12).all()


def test_grid_solutions_are_the_non_negative_least_squares_ones() -> None:
    generator = np.random.default_rng(3)
    x = np.arange(1.0, 31)
    y = 0.5 * np.exp(-x / 6) + 0.2 + 0.01 * generator.normal(size=30)
    weights = generator.uniform(0.2, 1.0, (30, 2))
    shapes = bank(np.arange(1.0, 51)).shapes[::17]
    c, a, square = fit.solve(shapes, y, weights)
    for g, shape in enumerate(shapes):
        for k in range(2):
            root = np.sqrt(weights[:, k])
            matrix = np.stack([np.ones(30), shape[:30]], axis=1) * root[:, None]
            best, norm = nnls(matrix, y * root)
            assert square[g, k] == pytest.approx(norm**2 / weights[:, k].sum(), rel=1e-6, abs=1e-12)
            fitted = c[g, k] + a[g, k] * shape[:30]
            assert fitted == pytest.approx(best[0] + best[1] * shape[:30], abs=1e-6)


def test_an_exact_curve_of_each_family_is_continued_by_its_family() -> None:
    grid = bank(np.arange(1.0, 61))
    for number, name in enumerate(grid.names):
        rows = np.flatnonzero(np.repeat(np.arange(len(grid.sizes)), grid.sizes) == number)
        truth = 0.2 + 0.6 * grid.shapes[rows[len(rows) // 2]]
        if np.ptp(truth[:30]) < 0.1:
            continue
        weights = np.ones((30, 1))
        curves = fit.families(grid.shapes, grid.sizes, truth[:30], weights, DEFAULT.outlier)
        assert curves[number, 0, -1] == pytest.approx(truth[-1], abs=0.02), name


def test_a_spike_moves_a_robust_fit_less_than_a_plain_one() -> None:
    x = np.arange(1.0, 41)
    clean = 0.5 * np.exp(-x / 8) + 0.2
    spiked = clean.copy()
    spiked[27] += 0.3
    grid, weights = bank(x), np.ones((40, 1))
    robust = fit.families(grid.shapes, grid.sizes, spiked, weights, 1.5)[0, 0]
    plain = fit.families(grid.shapes, grid.sizes, spiked, weights, 1.5, rounds=1)[0, 0]
    assert np.abs(robust - clean).max() < 0.5 * np.abs(plain - clean).max()


def test_baselines_say_what_their_names_say() -> None:
    y = np.array([5.0, 4.0, 3.5, 3.2, 3.0])
    found = dict(zip(BASELINES, baselines(y, np.array([5]), 7), strict=True))
    assert found["last value"][0, 5:].tolist() == [3.0, 3.0]
    trend = np.polyfit(np.arange(3), y[2:], 1)[0]
    assert slope(y[2:]) == pytest.approx(trend)
    assert found["last slope"][0, 6] == pytest.approx(3.0 + 2 * trend)
    assert found["median of 3"][0, -1] == 3.2
    assert found["best 3 of 5"][0, -1] == pytest.approx((3.0 + 3.2 + 3.5) / 3)


def test_back_test_errors_are_weighted_means_of_misses() -> None:
    y = np.array([4.0, 3.0, 2.0, 1.0, 0.5, 0.25])
    forecasts = np.zeros((1, 2, 8)) + 1.0
    error, evidence = ensemble.errors(forecasts, y, np.ones(6), np.array([4, 6]))
    weights = np.array([1 / 4, 2 / 4]) / np.sqrt(2)
    assert evidence == pytest.approx(weights.sum())
    assert error[0] == pytest.approx((weights @ np.array([0.5, 0.75])) / weights.sum())


def test_without_evidence_the_weights_are_the_prior_and_with_it_the_better_gains() -> None:
    prior, error = np.array([0.7, 0.3]), np.array([2.0, 1.0])
    assert ensemble.weigh(prior, error, 0.0, DEFAULT) == pytest.approx(prior)
    weights = ensemble.weigh(prior, error, 50.0, DEFAULT)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.3


def test_weighted_quantiles_agree_with_a_sorted_list() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.5, 0.3])
    middle = np.array([0.25, 0.65, 0.9])
    for level in (0.1, 0.25, 0.5, 0.65, 0.8, 0.95):
        expected = np.interp(level, middle, [1.0, 2.0, 3.0])
        assert ensemble.quantiles(values[:, None], weights, (level,))[0, 0] == pytest.approx(expected)


def test_the_progress_axis_and_breaks_of_a_schedule() -> None:
    schedule = np.array([0.05, 0.1, 0.1, 0.01, 0.01])
    assert lr_effects.relative(schedule) == pytest.approx([1, 1, 1, 0.1, 0.1])
    assert lr_effects.axis(schedule) == pytest.approx([1, 2, 3, 3.1, 3.2])
    assert lr_effects.breaks(schedule, 1.8) == [1, 3]


def test_the_noise_estimate_finds_the_noise_and_passes_over_a_spike() -> None:
    generator = np.random.default_rng(1)
    y = 0.4 - 0.001 * np.arange(400) + 0.02 * generator.normal(size=400)
    assert noise.robust(y) == pytest.approx(0.02, rel=0.25)
    y[300] += 5
    assert noise.robust(y) == pytest.approx(0.02, rel=0.25)
