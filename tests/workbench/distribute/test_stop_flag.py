"""What one process asks for is heard by all, whoever else asks for what."""

from __future__ import annotations

import pytest

from workbench.distribute.stop_flag import EPOCH_END, FINISH, NOW, STOP, decode

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("wishes", "result"),
    [
        ([0.0, 0.0], 0),
        ([NOW, 0.0, 0.0], STOP),
        ([0.0, EPOCH_END, 0.0], FINISH),
        ([EPOCH_END] * 3000, FINISH),
        ([NOW] * 3000, STOP),
        ([EPOCH_END, NOW, EPOCH_END], STOP + FINISH),
    ],
)
def test_wishes_are_told_apart_in_their_mean(wishes: list[float], result: int) -> None:
    import numpy as np
    import tensorflow as tf

    mean = np.float32(0)
    for wish in wishes:  # as a collective operation adds
        mean += np.float32(wish)
    assert int(decode(tf.constant(mean) / float(len(wishes)), len(wishes))) == result
