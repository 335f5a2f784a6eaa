"""Model files with code inside: real payloads that write a marker, refused by every way to open a model."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from workbench import FromModel
from workbench.errors import DataError, InputError
from workbench.models import load_keras
from workbench.verification import models

pytestmark = pytest.mark.tensorflow


def lambda_model(marker: Path) -> Any:
    """Return a model whose Lambda layer runs code of its file when the file is opened."""
    import tensorflow as tf

    def payload(x: Any) -> Any:
        open(place, "a").write("ran")  # noqa: SIM115
        return x

    place = str(marker)
    inputs = tf.keras.Input([8, 8, 3])
    outputs = tf.keras.layers.Lambda(payload, output_shape=(8, 8, 3))(inputs)
    model = tf.keras.Model(inputs, tf.keras.layers.Flatten()(outputs))
    marker.unlink(missing_ok=True)
    return model


def plain_model() -> Any:
    import tensorflow as tf

    inputs = tf.keras.Input([8, 8, 3])
    x = tf.keras.layers.Conv2D(2, 3, activation="relu")(inputs)
    return tf.keras.Model(inputs, tf.keras.layers.Flatten()(tf.nn.relu(x * 2.0)))


@pytest.fixture(scope="module")
def attentive() -> Any:
    """A small network with every layer class of this project's own that its files name."""
    from specs import tiny

    from workbench import BoTNet
    from workbench.models.build import build_model

    return build_model(tiny(backbone=BoTNet(image_size=64).quick()))


def rewritten(path: Path, change: Any) -> Path:
    """Change the configuration of a saved .keras or .h5 file in place."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        change(config)
        parts["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    else:
        with h5py.File(path, "a") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
    return path


def named_layer(config: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == kind)


def opened_everywhere(path: Path, trusted: bool = False) -> None:
    """Open a file by each way there is; each must refuse it by itself."""
    for way in (
        lambda: load_keras.load_keras(path, trusted),
        lambda: models.from_file(str(path), trust_code=trusted),
        lambda: FromModel(str(path), trust_code=trusted).look(None),
        lambda: FromModel(str(path), trust_code=trusted).fill(plain_model(), None),
    ):
        with pytest.raises(InputError, match="holds code that opening it would run.*--trust-code") as caught:
            way()
        assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize("form", ["h5", "keras", "saved_model"])
def test_a_lambda_layer_is_refused_before_its_code_runs(form: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    model, path = lambda_model(marker), tmp_path / f"model.{form}"
    if form == "saved_model":
        path = tmp_path / "model"
        model.save(path, save_format="tf")
    else:
        model.save(path)
    marker.unlink(missing_ok=True)
    opened_everywhere(path)
    assert not marker.exists()
    if form == "h5":  # the payload is real: with trust it runs
        load_keras.load_keras(path, trust_code=True)
        assert marker.read_text().startswith("ran")


def test_a_configuration_that_names_a_function_of_any_module_is_refused(tmp_path: Path) -> None:
    """Keras imports the module named in a configuration; a module that runs something is enough."""
    marker = tmp_path / "marker"
    (tmp_path / "bad_module_of_test.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\nrun = print\n")
    for form in ("keras", "h5"):
        path = tmp_path / f"model.{form}"
        plain_model().save(path)

        def change(config: dict[str, Any]) -> None:
            config.update(module="bad_module_of_test", class_name="run", registered_name="run")

        rewritten(path, change)
        sys.path.insert(0, str(tmp_path))
        try:
            opened_everywhere(path)
            assert not marker.exists()
            if form == "keras":  # the payload is real
                with pytest.raises((DataError, InputError)):
                    load_keras.load_keras(path, trust_code=True)
                    raise DataError("opened")
                assert marker.exists()
        finally:
            sys.path.remove(str(tmp_path))
            marker.unlink(missing_ok=True)
            sys.modules.pop("bad_module_of_test", None)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "exec"),
        ("os", "system"),
        ("keras.utils", "get_file"),
        ("keras.src.backend", "print_tensor"),
    ],
)
def test_functions_that_are_no_activations_are_refused(module: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    plain_model().save(path)

    def change(config: dict[str, Any]) -> None:
        named_layer(config, "Conv2D")["config"]["activation"] = {
            "module": module,
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }

    opened_everywhere(rewritten(path, change))


def test_a_call_of_a_function_of_tensorflow_that_writes_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    plain_model().save(path)

    def change(config: dict[str, Any]) -> None:
        named_layer(config, "TFOpLambda")["config"]["function"] = "io.write_file"

    opened_everywhere(rewritten(path, change))


def test_a_graph_that_writes_files_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    marker = tmp_path / "marker"

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
        def __call__(self, images: Any) -> Any:
            tf.io.write_file(str(marker), "ran")
            return tf.reshape(images, [-1, 192])

    module, path = Writer(), tmp_path / "graph"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.__call__})
    with pytest.raises(InputError, match="the operation WriteFile"):
        models.from_file(str(path))
    assert not marker.exists()
    embedder = models.from_file(str(path), trust_code=True)
    embedder.embed(models_images())
    assert marker.exists()  # the payload is real


def models_images() -> Any:
    from workbench.verification.embedders import ImageSet

    return ImageSet(["a"], lambda size: np.zeros([1, size, size, 3], np.uint8))


def test_a_tflite_file_that_calls_tensorflow_to_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + b"\x00" * 40 + b"FlexWriteFile\x00" + b"\x00" * 40)
    with pytest.raises(InputError, match="the operation WriteFile"):
        models.from_file(str(path))


def test_models_of_this_project_need_no_trust(tmp_path: Path, attentive: Any) -> None:
    """Every form that the project writes, with its own layers and a wrapper, is opened without a flag."""
    import tensorflow as tf
    from specs import small

    from workbench import surgery
    from workbench.models.build import build_model

    wrapped = surgery.wrapped(build_model(small()))
    for number, made in enumerate((wrapped, plain_model(), attentive)):
        for form in ("m.keras", "m.h5"):
            path = tmp_path / f"{number}{form}"
            made.save(path)
            assert list(load_keras.code_in(path)) == [], path
            assert isinstance(load_keras.load_keras(path), tf.keras.Model)
        if number != 1:  # a plain model's graph is part of the wrapped one's
            folder = tmp_path / f"{number}folder"
            made.export(str(folder))
            assert list(load_keras.code_in(folder)) == []


def test_broken_files_are_no_models(tmp_path: Path) -> None:
    for name, content in (("a.keras", b"PK nothing"), ("b.h5", b"nothing")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="is not a Keras model"):
            load_keras.load_keras(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000 + "]" * 100_000)
    with pytest.raises(DataError, match="nested too deeply|is not a Keras model"):
        load_keras.load_keras(tmp_path / "deep.keras")


def test_a_model_saved_before_its_layers_moved_still_opens(tmp_path: Path, attentive: Any) -> None:
    """Files name the modules of their layers; the layers stood in `workbench.models.backbones` once."""
    now, before = tmp_path / "now.keras", tmp_path / "before.keras"
    attentive.save(now)
    with zipfile.ZipFile(now) as source, zipfile.ZipFile(before, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                assert b"workbench.models.backbones.attention" in content
                content = content.replace(b"workbench." + b"models.backbones", b"workbench." + b"backbones")
            target.writestr(name, content)
    assert list(load_keras.code_in(before)) == []
    images = np.random.default_rng(0).normal(size=[1, *attentive.input_shape[1:]]).astype(np.float32)
    np.testing.assert_array_equal(load_keras.load_keras(before)(images), attentive(images))


def test_nothing_else_in_the_project_opens_a_keras_model(root: Path) -> None:
    def files_with(pattern: str) -> list[str]:
        words = ["grep", "-rl", pattern, "workbench", "analysis", "--include=*.py"]
        return sorted(subprocess.run(words, cwd=root, capture_output=True, text=True).stdout.split())

    opener = "workbench/models/open_keras.py"
    assert files_with(r"models\.load_model(") == [opener]
    # Only the one that looks for code first, and the child in which such a file is then tried.
    assert files_with(r"\bopen_keras(") == [
        "workbench/models/load_keras.py",
        "workbench/models/open_in_child.py",
        opener,
    ]
