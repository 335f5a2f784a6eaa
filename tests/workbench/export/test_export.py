"""Exports of a small model to every format, loaded back and compared; what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from workbench.commands import export as command
from workbench.commands.export import export
from workbench.errors import DataError, InputError, SpecError
from workbench.export.formats import EVERY, Target, write
from workbench.models.embeddings import GDC

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small model file and a folder of images."""
    folder = tmp_path_factory.mktemp("export")
    tf.keras.utils.set_random_seed(1)
    layers = tf.keras.layers
    inputs = layers.Input([32, 32, 3])
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2)(inputs))
    x = layers.DepthwiseConv2D(3)(layers.PReLU(shared_axes=[1, 2])(x))
    tf.keras.Model(inputs, GDC(size=8).build(x), name="embedder").save(folder / "small.h5")
    chance = np.random.default_rng(2)
    (folder / "faces").mkdir()
    for number in range(12):
        coarse = chance.integers(0, 256, [4, 4, 3], np.uint8)
        Image.fromarray(coarse).resize((40, 40), Image.Resampling.BICUBIC).save(
            folder / "faces" / f"{number}.png"
        )
    return folder


def call(*words):
    result = CliRunner().invoke(export, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


PLAIN = tuple(target for target in EVERY if not target.quantize)


def exported(folder, out, *words):
    """Export to all formats; return their comparisons by name, and those that are kept in a file."""
    said = call(folder / "small.h5", "--all", "--data", folder / "faces", "--out", out, "--json", *words)
    rows = {row["name"]: row for row in json.loads(said.splitlines()[-1])["exports"]}
    for name in ("saved_model", "h5", "onnx", "tflite"):
        assert rows[name]["largest_difference"] < 1e-4 and rows[name]["least_cosine"] > 0.99999, name
    assert all(row["milliseconds"] > 0 for row in rows.values())
    (kept,) = out.glob("*_exports.json")
    return rows, json.loads(kept.read_text())


def test_every_format_gives_the_originals_embeddings(place):
    rows, kept = exported(place, place / "out")
    assert list(rows) == ["keras (original)", *(target.name for target in EVERY)]
    assert rows["tflite float16"]["least_cosine"] > 0.999
    assert rows["tflite dynamic"]["least_cosine"] > 0.95
    assert rows["tflite int8"]["least_cosine"] > 0.9
    assert rows["tflite int8"]["bytes"] < rows["tflite"]["bytes"]
    assert kept["images"] == 12 and len(kept["exports"]) == 8


def test_every_format_of_a_wrapped_model_takes_bytes_and_gives_unit_vectors(place, monkeypatch):
    monkeypatch.setattr(command, "EVERY", PLAIN)  # its quantisation is tested by itself
    out = place / "out_wrapped"
    rows, kept = exported(place, out, "--wrap")
    assert list(rows) == ["keras (original)", *(target.name for target in PLAIN)]
    assert kept["images"] == 12 and len(kept["exports"]) == 5
    interpreter = tf.lite.Interpreter(str(out / "small_wrapped.tflite"))
    assert interpreter.get_input_details()[0]["dtype"] is np.uint8
    loaded = tf.keras.models.load_model(out / "small_wrapped.h5", compile=False)
    pixels = np.random.default_rng(3).integers(0, 256, [3, 32, 32, 3], np.uint8)
    np.testing.assert_allclose(np.linalg.norm(loaded(pixels), axis=1), 1.0, rtol=1e-5)


def test_uint8_takes_and_gives_bytes(place):
    for wrap in ((), ("--wrap",)):
        out = place / f"bytes{len(wrap)}"
        said = call(
            place / "small.h5",
            "--quantize",
            "uint8",
            "--data",
            place / "faces",
            "--out",
            out,
            "--json",
            *wrap,
        )
        row = json.loads(said.splitlines()[-1])["exports"][-1]
        assert (row["name"], row["least_cosine"] > 0.9) == ("tflite uint8", True)
        interpreter = tf.lite.Interpreter(row["file"])
        details = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        assert [entry["dtype"] for entry in details] == [np.uint8, np.uint8]


def test_the_table_says_what_it_compared_and_the_record_keeps_other_formats(place):
    said = call(place / "small.h5", "--format", "h5", "--out", place / "one", "--images", 3)
    assert "| h5 " in said and "3 random images" in said and "ms an image" in said
    call(place / "small.h5", "--format", "saved_model", "--out", place / "one", "--images", 3)
    kept = json.loads((place / "one" / "small_exports.json").read_text())
    assert [row["name"] for row in kept["exports"]] == ["keras (original)", "h5", "saved_model"]


def test_one_format_that_cannot_be_written_does_not_stop_the_others(place, monkeypatch):
    from workbench.export import formats

    def broken(model, path):
        raise ValueError("No Op registered for Odd")

    monkeypatch.setattr(formats, "_onnx", broken)
    monkeypatch.setattr(command, "EVERY", (Target("onnx"), Target("h5")))
    words = [str(place / "small.h5"), "--all", "--data", str(place / "faces"), "--out", str(place / "six")]
    result = CliRunner().invoke(export, words)
    assert isinstance(result.exception, InputError) and "embedder as onnx: cannot be" in str(result.exception)
    assert "| h5 " in result.output and "| onnx" not in result.output
    assert len(json.loads((place / "six" / "small_exports.json").read_text())["exports"]) == 2


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (
            ["small.h5", "--format", "tflite", "--quantize", "int8"],
            InputError,
            "int8 needs representative images.*--data FOLDER",
        ),
        (["small.h5", "--format", "h5", "--quantize", "int8"], SpecError, "only tflite is quantised"),
        (["small.h5", "--all", "--quantize", "int8"], SpecError, "--all has every quantisation"),
        (["none.h5"], DataError, "cannot be read"),
        (["small.h5", "--data", "nowhere"], DataError, "no images"),
        (["20260101T000000Z-12345678"], InputError, "20260101T000000Z-12345678"),
    ],
)
def test_bad_input_is_refused(place, project, words, error, message):
    words = [str(place / word) if word.endswith(".h5") else word for word in words]
    with pytest.raises(error, match=message):
        CliRunner().invoke(export, words, catch_exceptions=False)


def test_an_operation_that_a_format_lacks_is_one_clear_line(tmp_path):
    inputs = tf.keras.Input([4])
    model = tf.keras.Model(inputs, tf.raw_ops.Betainc(a=inputs, b=inputs, x=inputs), name="odd")
    for format_ in ("tflite", "onnx"):
        with pytest.raises(
            InputError, match=f"odd as {format_}.*cannot be expressed.*choose another format"
        ) as caught:
            write(model, Target(format_), tmp_path / "odd", None)
        assert "\n" not in str(caught.value)
