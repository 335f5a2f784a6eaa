"""A SavedModel whose weights are a checkpoint's own file: the same answers, the disk holds them once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.export import linked_weights, tensor_index
from workbench.lazy import tf

pytestmark = pytest.mark.tensorflow


def saved(folder: Path, layers: int = 20) -> tuple[Path, dict[str, np.ndarray]]:
    """Write a SavedModel of many variables, some of them alike, and return its place and their values."""
    chance = np.random.default_rng(1)
    module = tf.Module()
    module.weights = [tf.Variable(chance.normal(size=[7, 7]).astype(np.float32)) for _ in range(layers)]
    module.others = [tf.Variable(np.zeros(7, np.float32)), tf.Variable(3, dtype=tf.int64)]

    def call(x: tf.Tensor) -> tf.Tensor:
        for weight in module.weights:
            x = tf.tanh(x @ weight + module.others[0])
        return x * tf.cast(module.others[1], tf.float32)

    module.__call__ = tf.function(call, input_signature=[tf.TensorSpec([None, 7], tf.float32)])
    tf.saved_model.save(module, str(folder))
    values = [*module.weights, *module.others]
    return folder, {f"embedder/{i:05d}": np.asarray(value.numpy()) for i, value in enumerate(values)}


def answers(folder: Path) -> np.ndarray:
    return tf.saved_model.load(str(folder))(np.ones([2, 7], np.float32)).numpy()


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_linked_model_answers_as_before_whatever_becomes_of_the_checkpoint(tmp_path: Path) -> None:
    model, arrays = saved(tmp_path / "model")
    before, state = answers(model), tmp_path / "best.safetensors"
    save_file({"optimizer/0": np.ones(99, np.float32), **arrays, "z": np.ones(1)}, state, metadata={"a": "b"})
    assert linked_weights.link(model, state)
    linked = model / "variables" / linked_weights.LINKED
    assert linked.samefile(state)
    assert linked.stat().st_mode == (model / "saved_model.pb").stat().st_mode
    others = sum(path.stat().st_size for path in (model / "variables").iterdir() if path != linked)
    assert others < sum(array.nbytes for array in arrays.values())
    np.testing.assert_array_equal(answers(model), before)
    # As a resumed run does that finds a better epoch: written aside and renamed.
    save_file({name: np.asarray(array + 1) for name, array in arrays.items()}, tmp_path / "aside")
    (tmp_path / "aside").rename(state)
    np.testing.assert_array_equal(answers(model), before)
    state.unlink()
    np.testing.assert_array_equal(answers(model), before)


def test_a_damaged_weight_is_seen_by_its_checksum(tmp_path: Path) -> None:
    model, arrays = saved(tmp_path / "model", layers=1)
    save_file(arrays, tmp_path / "state")
    linked_weights.link(model, tmp_path / "state")
    content = bytearray((tmp_path / "state").read_bytes())
    at = bytes(content).index(arrays["embedder/00000"].tobytes())
    content[at] ^= 1
    (tmp_path / "state").write_bytes(content)
    with pytest.raises((tf.errors.OpError, ValueError), match="[Cc]hecksum"):
        answers(model)


@pytest.mark.parametrize("why", ["another weight", "a large head", "no links"])
def test_a_model_that_cannot_share_stays_as_it_is(tmp_path: Path, monkeypatch, why: str) -> None:
    model, arrays = saved(tmp_path / "model")
    if why == "another weight":
        arrays["embedder/00003"] = arrays["embedder/00003"] + 1
    elif why == "a large head":
        arrays["head/00000"] = np.ones(20_000, np.float32)
    else:

        def refuse(*_: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refuse)
    save_file(arrays, tmp_path / "state")
    before = files(model)
    assert not linked_weights.link(model, tmp_path / "state")
    assert files(model) == before


def test_an_index_is_written_as_it_was_read(tmp_path: Path) -> None:
    model, arrays = saved(tmp_path / "model", layers=300)
    header, entries = tensor_index.read(model / "variables" / "variables.index")
    assert len(entries) == len(arrays) + 1
    tensor_index.write(model / "variables" / "variables.index", header, entries)
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    found = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    for i in range(300):
        np.testing.assert_array_equal(
            found[f"weights/{i}/.ATTRIBUTES/VARIABLE_VALUE"], arrays[f"embedder/{i:05d}"]
        )
    (tmp_path / "text").write_text("no index" * 20)
    with pytest.raises(ValueError, match="no index"):
        tensor_index.read(tmp_path / "text")
