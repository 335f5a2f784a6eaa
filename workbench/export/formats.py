"""Write a Keras model as SavedModel, HDF5, ONNX or TFLite."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import InputError, SpecError
from workbench.lazy import tf

FORMATS = ("saved_model", "h5", "onnx", "tflite")
WHOLE = ("int8", "uint8")  # weights and values in 8 bits; uint8 also takes and gives bytes
QUANTIZATIONS = ("dynamic", "float16", *WHOLE)
TELLING = ("not supported", "custom op", "No Op registered")  # what marks the telling line of a complaint
OPSET = 17  # of ONNX: the newest that onnx 1.17, tf2onnx 1.17 and common runtimes share


@dataclass(frozen=True)
class Target:
    """A format and, for TFLite, how its weights are quantised."""

    format: str
    quantize: str | None = None

    def __post_init__(self) -> None:
        if self.quantize and self.format != "tflite":
            raise SpecError(
                f"--quantize {self.quantize} with --format {self.format}", do="only tflite is quantised here"
            )

    @property
    def name(self) -> str:
        """The target in two words: `tflite int8`."""
        return f"{self.format} {self.quantize}" if self.quantize else self.format

    def path(self, folder: Path, stem: str) -> Path:
        """Return where the model goes: a file, or for a SavedModel a folder."""
        if self.format == "saved_model":
            return folder / f"{stem}_saved_model"
        quantised = f"_{self.quantize}" if self.quantize else ""
        return folder / f"{stem}{quantised}.{self.format}"


EVERY = (
    *(Target(name) for name in FORMATS),
    *(Target("tflite", name) for name in ("dynamic", "float16", "int8")),
)


def write(model: tf.keras.Model, target: Target, path: Path, samples: np.ndarray | None) -> None:
    """Write `model` to `path` in the target's format.

    `samples` are images as the model takes them, [N, h, w, 3], by which 8 bits choose their ranges. Raises
    `InputError` where they are missing or where the format cannot express the model.
    """
    if target.quantize in WHOLE and (samples is None or not len(samples)):
        raise InputError(
            f"{target.quantize} needs representative images",
            where=f"--quantize {target.quantize}",
            do="export a run whose data is there, or give --data FOLDER",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet():
            if target.format == "tflite":
                path.write_bytes(_tflite(model, target.quantize, samples))
            elif target.format == "onnx":
                _onnx(model, path)
            elif target.format == "h5":
                model.save(path, save_format="h5", include_optimizer=False)
            else:
                model.export(str(path))
    except InputError:
        raise
    except Exception as error:  # converters raise classes of their own, some of them private
        raise InputError(
            _reason(error), where=f"{model.name} as {target.name}", do="choose another format"
        ) from error


def _reason(error: Exception) -> str:
    """Return the line of a converter's complaint that says what it cannot do."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in TELLING)]
    return f"cannot be expressed: {(telling or lines or [type(error).__name__])[0][:300]}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the chatter of converters and loaders off the screen; their errors are raised."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with _mute(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    """Send both output descriptors nowhere: TFLite's converter, in C++, writes past Python's streams."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        sys.stderr.flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _onnx(model: tf.keras.Model, path: Path) -> None:
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise InputError(
            "tf2onnx is not installed", where="--format onnx", do="pip install 'workbench[onnx]'"
        ) from error
    given = model.inputs[0]
    signature = [tf.TensorSpec(given.shape, given.dtype, name="images")]
    tf2onnx.convert.from_keras(model, signature, opset=OPSET, output_path=str(path))
    onnx.checker.check_model(str(path))  # tf2onnx writes down operations that it does not know


def _tflite(model: tf.keras.Model, quantize: str | None, samples: np.ndarray | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize in WHOLE:
        assert samples is not None
        converter.representative_dataset = lambda: ([image[None]] for image in samples)
    if quantize == "uint8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_output_type = tf.uint8
        if model.inputs[0].dtype != tf.uint8:  # a wrapped model takes bytes as it is
            converter.inference_input_type = tf.uint8
    return bytes(converter.convert())
