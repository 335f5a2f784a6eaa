"""A model file in the words of the newer Keras 2 is read by the older one; without TensorFlow where it can be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from workbench.models import newer_keras

NEW = {
    "module": "tf_keras.src.engine.functional",
    "class_name": "Functional",
    "config": {
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"name": "images", "optional": False},
            },
            {"module": "tf_keras.layers", "class_name": "Dense", "config": {"units": 3, "optional": False}},
        ]
    },
}


def test_modules_and_the_setting_of_inputs_are_put_into_the_older_words():
    found = newer_keras.older(NEW)
    assert found["module"] == "keras.src.engine.functional"
    assert found["config"]["layers"][0]["config"] == {"name": "images"}
    assert found["config"]["layers"][1] == {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"units": 3, "optional": False},
    }
    assert newer_keras.older(found) == found
    assert NEW["module"].startswith("tf_keras")  # what was given stays


def test_an_input_that_may_be_left_out_has_no_older_word():
    value = {"class_name": "InputLayer", "config": {"optional": True}}
    assert newer_keras.older(value) == value


def test_only_a_file_of_the_newer_keras_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(NEW))
        archive.writestr("model.weights.h5", b"weights")
    monkeypatch.setattr(newer_keras, "keras_package", lambda: "tf_keras")
    with newer_keras.readable(path, NEW) as file:
        assert file == path
    monkeypatch.setattr(newer_keras, "keras_package", lambda: "keras")
    with newer_keras.readable(path, newer_keras.older(NEW)) as file:
        assert file == path
    with newer_keras.readable(path, NEW) as file, zipfile.ZipFile(file) as archive:
        assert file != path
        assert json.loads(archive.read("config.json")) == newer_keras.older(NEW)
        assert archive.read("model.weights.h5") == b"weights"
    assert not file.exists()


@pytest.mark.tensorflow
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_whole_model_in_the_newer_words_gives_the_same_numbers(tmp_path: Path, ending: str):
    import h5py

    from workbench.lazy import tf
    from workbench.models.load_keras import load_keras

    model = tf.keras.Sequential([tf.keras.Input([4]), tf.keras.layers.Dense(3, name="dense")])
    model = tf.keras.Model(model.inputs, model.outputs)
    path = tmp_path / f"model{ending}"
    model.save(path)

    def newer(text: str) -> str:
        value = json.loads(text)
        for layer in value["config"]["layers"]:
            if layer["class_name"] == "InputLayer":
                layer["config"]["optional"] = False
        return json.dumps(value).replace('"keras.src.', '"tf_keras.src.')

    if ending == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = newer(file.attrs["model_config"])
    else:
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        content["config.json"] = newer(content["config.json"].decode()).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    x = np.ones([2, 4], np.float32)
    np.testing.assert_array_equal(load_keras(path)(x).numpy(), model(x).numpy())
