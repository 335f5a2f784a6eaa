"""Weights that start from elsewhere: what is taken over and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench import FromModel
from workbench.errors import DataError
from workbench.families import Places
from workbench.start import read_centers


def centers(folder: Path) -> Path:
    path = folder / "list.txt.npz"
    with open(path, "wb") as file:
        np.savez(file, centers=np.arange(6.0).reshape(3, 2), identities=np.array(["a", "b", "c"]))
    return path


def test_centers_follow_the_names_of_the_identities(tmp_path: Path) -> None:
    centers(tmp_path)
    found = read_centers("list.txt.npz", ("c", "a"), Places((tmp_path,)))
    np.testing.assert_array_equal(found, [[4.0, 5.0], [0.0, 1.0]])


def test_centers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path, where = centers(tmp_path), Places((tmp_path,))
    with pytest.raises(DataError, match=r"has no center of x \(1 missing\)"):
        read_centers(str(path), ("a", "x"), where)
    with pytest.raises(DataError, match="no such file.*workbench clean"):
        read_centers("other.npz", ("a",), where)
    path.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="holds no centers"):
        read_centers(str(path), ("a",), where)
    with open(path, "wb") as file:  # an array of Python objects would run code when read
        np.savez(file, centers=np.array([print], dtype=object), identities=np.array(["a"]))
    with pytest.raises(DataError, match="holds no centers"):
        read_centers(str(path), ("a",), where)


def test_a_missing_model_is_refused_before_the_run() -> None:
    with pytest.raises(DataError, match="no such model"):
        FromModel("nowhere.keras").look(None)


@pytest.mark.tensorflow
def test_a_saved_model_gives_its_weights_or_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def network(size: int) -> tf.keras.Model:
        inputs = tf.keras.Input([4])
        return tf.keras.Model(inputs, tf.keras.layers.Dense(size)(inputs))

    first, second = network(3), network(3)
    path = tmp_path / "model.keras"
    first.save(path)
    FromModel(str(path)).fill(second, None)
    for old, new in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(DataError, match="do not fit"):
        FromModel(str(path)).fill(network(2), None)
    path.write_bytes(b"no model")
    with pytest.raises(DataError, match="is no Keras model"):
        FromModel(str(path)).fill(second, None)
