"""Other runs as prior: few move a forecast little, many that agree make it theirs, unlike data is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.forecast.cross_run_prior import MOST, CrossRunPrior, Neighbor, correct, mixture
from analysis.forecast.curve import Curve
from analysis.forecast.distribution import LEVELS, SCORES
from analysis.forecast.forecaster import forecast


def result(scores: list[float], spread: float = 3.0) -> np.ndarray:
    """Return the quantiles of a run's score after others with these scores, none of which looks like it."""
    alike = spread * np.arange(len(scores) + 1, dtype=float)[:, None]
    return mixture(np.array(scores)[:, None], alike, np.zeros((len(scores) + 1, 2)), LEVELS)[:, 0]


def test_runs_that_agree_shift_the_forecast_the_more_of_them_there_are() -> None:
    one, four, twelve = (result([-2.0] * count) for count in (1, 4, 12))
    middle = len(LEVELS) // 2
    assert 0 > one[middle] > four[middle] >= twelve[middle] > -2.2
    assert np.ptp(one) > np.ptp(four) > np.ptp(twelve)


def test_runs_as_the_population_said_change_little() -> None:
    scores = np.random.default_rng(0).normal(size=12).tolist()
    assert result(scores) == pytest.approx(SCORES, abs=0.6)


def test_runs_that_disagree_widen_the_forecast() -> None:
    assert np.ptp(result([-3.0, 3.0, -2.5, 2.8])) > np.ptp(SCORES)


def test_where_the_fits_were_right_for_the_others_they_are_believed() -> None:
    fits = np.linspace(-2, 2, 9)[:, None] * [1.0, 0.0]
    alike = 3.0 * np.arange(9)[:, None]
    found = mixture(fits[:-1, :1], alike, fits, LEVELS)[:, 0]
    unasked = mixture(fits[:-1, :1], alike, 0 * fits, LEVELS)[:, 0]
    assert abs(found[3] - 2.0) < 0.4 < abs(unasked[3] - 2.0)
    assert np.ptp(found) < np.ptp(unasked)


def runs(count: int, data: str = "") -> list[Curve]:
    generator = np.random.default_rng(3)
    found = []
    for number in range(count):
        t, noise = np.arange(40), 0.003 * generator.normal(size=40)
        values = (0.5 + 0.01 * number) * np.exp(-t / 5) + 0.3 - 0.15 * (t >= 30) + noise
        found.append(
            Curve(metric="val_error", values=values.tolist(), finished=True, run=f"r{number}", data=data)
        )
    return found


def test_a_fall_that_all_others_showed_is_expected_and_named() -> None:
    mine, *others = runs(10)
    seen = replace(mine.until(20), total=40)
    alone, helped = forecast(seen), forecast(seen, others=others)
    end = mine.values[-1]
    assert abs(helped.median[-1] - end) < 0.3 * abs(alone.median[-1] - end)
    low, high = helped.interval(0.8)
    assert low[-1] <= end <= high[-1]
    assert set(helped.prior_runs) == {other.run for other in others}


def test_runs_on_other_data_and_of_other_metrics_are_left_out() -> None:
    mine = replace(runs(1, "digits")[0].until(20), total=40)
    others = [replace(other, run=f"o{k}") for k, other in enumerate(runs(3, "faces"))]
    assert forecast(mine, others=others).others == 0
    assert forecast(replace(mine, data=""), others=others).others == 3
    assert (
        forecast(mine, others=[replace(other, data="digits", metric="error") for other in others]).others == 0
    )


def test_of_very_many_runs_the_nearest_are_asked() -> None:
    mine, *others = runs(MOST + 15)
    found = forecast(replace(mine.until(20), total=40), others=CrossRunPrior(others))
    assert found.others == MOST
    assert "r1" in found.prior_runs
    assert f"r{MOST + 14}" not in found.prior_runs


def test_late_in_a_run_the_spread_of_the_others_grows_and_the_median_stays() -> None:
    neighbors = [Neighbor(f"r{k}", np.zeros(5), np.zeros(2), np.full(4, 0.1 * k)) for k in range(6)]
    plain, wider = (correct(neighbors, np.zeros(5), np.zeros(2), wider=by) for by in (1.0, 1.1))
    middle = len(LEVELS) // 2
    assert wider.scores[middle] == pytest.approx(plain.scores[middle])
    assert np.ptp(wider.scores, axis=0) == pytest.approx(1.1 * np.ptp(plain.scores, axis=0))
    assert wider.inner == pytest.approx(plain.inner)
