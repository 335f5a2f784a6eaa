"""Verdicts on curves against numbers worked out by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.reproduce.curve_match import BAND, DIFFERS, EQUAL, NOTHING, interval, match


def curve(values: dict[str, list[float]]) -> dict[tuple[int, str], float]:
    return {(e, name): v for name, row in values.items() for e, v in enumerate(row, start=1)}


def test_equal_means_every_bit_and_nan_is_equal_to_nan() -> None:
    before = curve({"loss": [2.0, math.nan], "lfw": [0.9, 0.91]})
    assert match(before, dict(before)).verdict == EQUAL
    now = {**before, (2, "lfw"): np.nextafter(0.91, 1)}
    found = match(before, now)
    assert (found.verdict, found.first) == (BAND, ("lfw", 2, 0.91, np.nextafter(0.91, 1)))
    assert match(before, dict(before), weights=False).verdict == BAND
    assert match(before, {(9, "loss"): 1.0}).verdict == NOTHING


def test_without_seeds_the_documented_band_decides() -> None:
    before = curve({"loss": [2.0] * 10, "lfw": [0.9] * 10, "lr": [0.1] * 10})
    near = curve({"loss": [2.09] * 10, "lfw": [0.919] * 10, "lr": [0.1] * 10})
    far = curve({"loss": [2.09] * 10, "lfw": [0.921] * 10, "lr": [0.1] * 10})
    assert match(before, near).verdict == BAND
    assert match(before, far).verdict == DIFFERS
    assert match(before, {**before, **{(e, "lr"): 0.1001 for e in range(1, 11)}}).verdict == DIFFERS
    assert match(before, {**before, (1, "loss"): math.nan}).outside[0][0] == "loss"


def test_the_interval_of_seeds_is_that_of_student() -> None:
    low, high = interval([0.90, 0.92, 0.94])
    half = 9.924843200918294 * 0.02 * math.sqrt(4 / 3)  # t(2) at 0.995 from tables
    assert (low, high) == pytest.approx((0.92 - half, 0.92 + half), rel=1e-9)


def test_runs_of_one_kind_match_and_others_do_not() -> None:
    rng = np.random.default_rng(0)

    def draw(shift: float) -> dict[tuple[int, str], float]:
        return curve({"lfw": list(0.9 + shift + 0.005 * rng.standard_normal(40))})

    seeds = [draw(0.0) for _ in range(4)]
    same = [match(draw(0.0), draw(0.0), seeds).verdict for _ in range(100)]
    other = [match(draw(0.0), draw(0.1), seeds).verdict for _ in range(20)]
    assert same.count(BAND) >= 95
    assert other.count(DIFFERS) == 20
