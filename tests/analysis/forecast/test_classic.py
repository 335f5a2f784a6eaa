"""The four hand methods against numbers that were worked out by hand, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import extrapolate
from analysis.forecast.backtest import power_law
from analysis.forecast.classic import METHODS, exponential_parameters
from workbench.errors import DataError

LOSS = [8.6066, 8.2645, 7.9587]  # of a real ResNet101 training; then 7.6866, 7.4418, 7.2208


@pytest.mark.parametrize("method", ["ratio", "closed"])
def test_ratio_and_closed_form_give_the_published_numbers(method: str) -> None:
    assert extrapolate(LOSS, 3, method, e=0.105) == pytest.approx([7.6850, 7.4401, 7.2209], abs=1.01e-4)


def test_the_closed_form_equals_the_recursion() -> None:
    e = 0.2
    step, value, expected = LOSS[-1] - LOSS[-2], LOSS[-1], []
    for _ in range(6):
        step *= 1 - e
        value += step
        expected.append(value)
    assert extrapolate(LOSS, 6, "ratio", e=e) == pytest.approx(expected, rel=1e-12)
    assert extrapolate(LOSS, 6, "closed", e=e) == pytest.approx(expected, rel=1e-12)


def test_the_fit_finds_the_published_parameters_again() -> None:
    truth = (6.13053798, 0.1813183, 6.47103657)
    x = np.arange(14)
    values = truth[0] * np.exp(-truth[1] * x) + truth[2]
    assert exponential_parameters(values) == pytest.approx(truth, rel=1e-5)
    expected = truth[0] * np.exp(-truth[1] * np.array([14, 15])) + truth[2]
    assert extrapolate(values, 2) == pytest.approx(expected, rel=1e-6)


def test_the_cubic_continues_a_cubic() -> None:
    x = np.arange(12.0)
    law = 0.01 * x**3 - 0.2 * x**2 + x + 5
    assert extrapolate(law[:8], 4, "cubic") == pytest.approx(law[8:], rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_impossible_input_is_refused_in_one_line(method: str) -> None:
    for values in ([], [1.0], [1.0, np.nan, 0.5, 0.4, 0.3]):
        with pytest.raises(DataError):
            extrapolate(values, 2, method)


def test_unknown_methods_and_impossible_e_are_refused() -> None:
    with pytest.raises(DataError, match="did you mean 'cubic'"):
        extrapolate(LOSS, method="cubik")
    with pytest.raises(DataError, match="between 0 and 1"):
        extrapolate(LOSS, method="ratio", e=1.5)
    with pytest.raises(DataError, match="has no e"):
        extrapolate([*LOSS, 7.7], method="cubic", e=0.1)


@pytest.mark.parametrize(("shift", "shifted"), [(0.0, False), (0.0, True), (6.0, True)])
def test_a_power_law_is_continued_by_its_fit(shift: float, shifted: bool) -> None:
    law = 0.8 * (np.arange(1.0, 61) + shift) ** -0.6 + 0.2
    np.testing.assert_allclose(power_law(law[:30], 30, shifted), law[30:], rtol=1e-3)
    assert abs(power_law(law[:30], 30, shifted=False)[-1] - law[-1]) > 1e-3 or not shift
