"""Weights that start from elsewhere: what is taken over and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import tiny

from workbench import E, FromModel, FromRun, PlainCNN
from workbench.commands.check import start_lines
from workbench.commands.dry_run import DryRun
from workbench.errors import DataError
from workbench.spec.interfaces import Places
from workbench.spec.quick import quick_variant
from workbench.spec.variant import Variant
from workbench.tracking.store import find_store
from workbench.train.initialize import read_centers


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
    with pytest.raises(DataError, match="is damaged|holds Python objects"):
        read_centers(str(path), ("a",), where)
    with open(path, "wb") as file:  # an array of Python objects would run code when read
        np.savez(file, centers=np.array([print], dtype=object), identities=np.array(["a"]))
    with pytest.raises(DataError, match="is damaged|holds Python objects"):
        read_centers(str(path), ("a",), where)


def test_a_missing_model_is_refused_before_the_run() -> None:
    with pytest.raises(DataError, match="no such model"):
        FromModel("nowhere.keras").look(None)


def network(width: int, size: int = 3, classes: int = 0) -> Any:
    """Return a small network with the embedding layers of `F`, and a classification head if asked."""
    import tensorflow as tf

    inputs = tf.keras.Input([4, 4, 3])
    x = tf.keras.layers.Conv2D(width, 3, name=f"conv_{width}_{size}_{classes}")(inputs)
    x = tf.keras.layers.BatchNormalization()(x)
    x = tf.keras.layers.Dense(size, name="embedding_dense")(tf.keras.layers.Flatten()(x))
    x = tf.keras.layers.BatchNormalization(name="pre_embedding")(x)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(classes, name="logits")(x) if classes else x)
    for variable in model.variables:
        variable.assign(tf.random.uniform(variable.shape))
    return model


@pytest.mark.tensorflow
@pytest.mark.parametrize("form", ["model.keras", "model.h5", "saved", "exported"])
def test_every_form_gives_its_weights_and_its_head_is_dropped(tmp_path: Path, form: str) -> None:
    first, second = network(5, classes=7), network(5)
    path = str(tmp_path / form)
    if form == "exported":
        first.export(path)
    else:
        first.save(path, **({"save_format": "tf"} if form == "saved" else {}))
    notes = FromModel(path).fill(second, None)
    for old, new in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert notes == [f"1 layers of {path} are dropped: logits"]


@pytest.mark.tensorflow
def test_another_embedding_starts_anew_and_the_backbone_is_taken(tmp_path: Path) -> None:
    first, second = network(5, size=3, classes=7), network(5, size=6)
    path = str(tmp_path / "model.h5")
    first.save(path)
    fresh = second.get_weights()
    notes = FromModel(path).fill(second, None)
    for number, (old, new) in enumerate(zip(first.get_weights(), second.get_weights())):
        wanted = old if number < 6 else fresh[number]  # a convolution with bias and a normalisation
        np.testing.assert_array_equal(wanted, new)
    assert [note.split(" of ")[0] for note in notes] == [
        "the embedding (embedding_dense and after) starts anew: the one",
        "3 layers",
    ]


@pytest.mark.tensorflow
def test_another_width_is_refused_with_the_layer_and_changes_nothing(tmp_path: Path) -> None:
    first, second = network(5, classes=7), network(8)
    path = tmp_path / "model.h5"
    first.save(path)
    before = second.get_weights()
    with pytest.raises(DataError) as caught:
        FromModel(str(path)).fill(second, None)
    assert "its layer 'conv_5_3_7' (3, 3, 3, 5), (5,) does not fit 'conv_8_3_0' (3, 3, 3, 8), (8,)" in str(
        caught.value
    )
    assert all(np.array_equal(old, new) for old, new in zip(before, second.get_weights()))
    path.write_bytes(b"no model")
    with pytest.raises(DataError, match="is not a Keras model"):
        FromModel(str(path)).fill(second, None)


@pytest.mark.tensorflow
def test_a_run_of_another_width_is_refused_with_the_layer(tmp_path: Path) -> None:
    from workbench.tracking.store import find_store
    from workbench.train import checkpoint, checkpoint_file

    store, run, first = find_store(str(tmp_path / "mlruns")), "20260101T000000Z-00000001", network(5)
    store.journals.mkdir(parents=True)
    store.journal(run).touch()
    arrays = {f"embedder/{i:05d}": array for i, array in enumerate(first.get_weights())}
    checkpoint_file.write(
        store.run_checkpoints(run) / checkpoint_file.file_name(1, 1), checkpoint.State(arrays, {})
    )
    second = network(5)
    assert FromRun(run).fill(second, store) == []
    assert all(np.array_equal(old, new) for old, new in zip(first.get_weights(), second.get_weights()))
    with pytest.raises(DataError, match=r"does not fit 'conv_8_3_0' \(3, 3, 3, 8\)"):
        FromRun(run).fill(network(8), store)


def test_a_quick_run_of_another_network_starts_anew() -> None:
    where = Places(())
    for backbone, kept in ((PlainCNN(), None), (PlainCNN().quick(), FromModel("m.h5"))):
        variant = Variant("tuned", tiny(backbone=backbone, start=FromModel("m.h5")))
        assert quick_variant(variant, where).experiment.start == kept


@pytest.mark.tensorflow
def test_check_says_whether_the_starting_weights_are_there_and_fit(project: Path) -> None:
    spec = tiny(backbone=PlainCNN(image_size=32), embedding=E(size=8), start=FromModel("m.h5"))
    trials, store = DryRun(True, Places(())), find_store()
    assert list(start_lines(spec, store, trials)) == ["missing: FromModel 'm.h5' is not there"]
    trials.networks.full(spec).save("m.h5")
    assert list(start_lines(spec, store, trials)) == ["start: its weights fit this network"]
    other = spec.but(embedding=E(size=16))
    assert next(iter(start_lines(other, store, trials))).startswith("start: the embedding (")
    network(5).save("m.h5")
    with pytest.raises(DataError, match="its layer 'conv_5_3_0' .* does not fit"):
        list(start_lines(spec, store, trials))
    lost = spec.but(start=FromRun("20260101T000000Z-00000001"))
    assert "cannot be used here (no run" in next(iter(start_lines(lost, store, None)))
