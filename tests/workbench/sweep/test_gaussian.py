"""The quick answer at one point is scikit-learn's own, and its parts that the formula leans on are still there."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from workbench.sweep.gaussian import process

pytestmark = pytest.mark.filterwarnings("ignore:The optimal value found")  # of one of its 21 starts


@pytest.mark.parametrize(("trials", "settings"), [(3, 1), (12, 4), (60, 7)])
def test_one_point_is_answered_as_scikit_learn_does(trials: int, settings: int):
    random = np.random.default_rng(trials)
    x = random.uniform(size=(trials, settings))
    y = 3 + 7 * np.sin(3 * x.sum(axis=1)) + 0.3 * random.normal(size=trials)
    fitted = process(1e-4, 1).fit(x, y)
    for point in (*random.uniform(size=(20, settings)), x[0], np.full(settings, 9.0)):
        ours = fitted.predict(point[None], return_std=True)
        theirs = GaussianProcessRegressor.predict(fitted, point[None], return_std=True)
        for one, other in zip(ours, theirs):
            assert one.shape == other.shape == (1,)
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_anything_else_is_left_to_scikit_learn():
    x = np.linspace(0, 1, 5)[:, None]
    fitted = process(1e-4, 1).fit(x, np.sin(9 * x[:, 0]))
    assert fitted.predict(x).shape == (5,)
    assert fitted.predict(x, return_std=True)[1].shape == (5,)
    assert fitted.predict(x, return_cov=True)[1].shape == (5, 5)
