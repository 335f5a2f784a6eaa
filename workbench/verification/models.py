"""What a user calls a model, as an embedder: a run, a Keras or SavedModel, an ONNX or TFLite file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.errors import DataError, InputError
from workbench.lazy import tf
from workbench.models import load_keras, open_in_child
from workbench.pixels import normalise, normalise_array
from workbench.verification.embedders import Embedder, Network, Saved, filled_up, load
from workbench.verification.sorted_scores import blocks
from workbench.verification.tflite_child import TFLite

Range = Literal["unit", "raw"]  # what a model takes: (x - 127.5) / 128, or grey levels 0..255 as they are


def is_file(text: str) -> bool:
    """Tell whether `text` means a model in a file or folder rather than a run."""
    path = Path(text)
    return path.suffix in (".onnx", ".tflite", ".h5", ".keras", ".npz") or path.exists()


def from_file(
    text: str, size: int | None = None, values: Range = "unit", trust_code: bool = False
) -> Embedder:
    """Return the embedder of a file or folder, by its ending.

    `.onnx`, `.tflite`, `.h5`, `.keras`, a SavedModel folder, or saved embeddings `.npz`. `size` is
    the input side of a model that leaves it open, `values` what the model takes. Raises `DataError`
    for one that cannot be used, `InputError` for one with code in it unless `trust_code`.
    """
    path = Path(text)
    if path.is_file() or (path / "saved_model.pb").is_file():
        load_keras.require_trust(path, trust_code)
    if path.suffix == ".npz" and path.is_file():
        return Saved(path.name, load(path))
    if path.suffix in (".onnx", ".tflite") and path.is_file():
        return (from_onnx if path.suffix == ".onnx" else from_tflite)(path, size, values)
    if (path.suffix in (".h5", ".keras") and path.is_file()) or (path / "saved_model.pb").is_file():
        return from_keras_file(path, size, values, trust_code)
    raise DataError(
        "is not a model" if path.exists() else "is not there",
        where=path,
        expected="a run, or a model: .onnx, .tflite, .h5, .keras, a SavedModel folder, or .npz embeddings",
    )


def from_keras(network: Any, label: str, size: int | None = None, values: Range = "unit") -> Embedder:
    """Return the embedder of a Keras model, compiled, each image with its mirror image in one call."""
    shape = network.input_shape
    side = square(tuple(shape[1:]) if isinstance(shape, tuple) else (), size, label)

    @tf.function(autograph=False)
    def both(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inputs = normalise(images) if values == "unit" else tf.cast(images, tf.float32)
        outputs = tf.cast(network(tf.concat([inputs, inputs[:, :, ::-1]], 0), training=False), tf.float32)
        one, other = tf.split(outputs, 2)
        return one, other

    return Network(label, side, lambda images: both(tf.constant(images)))


def from_keras_file(
    path: Path, size: int | None = None, values: Range = "unit", trust_code: bool = False
) -> Embedder:
    """Return the embedder of a saved Keras model; a plain SavedModel is called by its signature."""
    try:
        return from_keras(load_keras.load_keras(path, trust_code), path.name, size, values)
    except DataError:
        if not (path / "saved_model.pb").is_file():
            raise
    except AttributeError as error:
        if not (path / "saved_model.pb").is_file():
            raise DataError(f"cannot be read: {error}", where=path, expected="a saved Keras model") from error
    loaded = tf.saved_model.load(str(path))
    if "serving_default" not in loaded.signatures:
        raise DataError("has no serving_default signature", where=path, expected="an exported SavedModel")
    signature = loaded.signatures["serving_default"]
    name, spec = next(iter(signature.structured_input_signature[1].items()))
    side = square(tuple(spec.shape[1:]), size, path.name)

    def run(images: np.ndarray) -> Any:
        given = tf.cast(prepared(images, values, spec.dtype == tf.uint8), spec.dtype)
        return next(iter(signature(**{name: given}).values())).numpy()

    return Network(path.name, side, lambda images: (run(images), run(images[:, :, ::-1])))


def from_onnx(path: Path, size: int | None = None, values: Range = "unit") -> Embedder:
    """Return the embedder of an ONNX model, with its channels last or first."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "ONNX Runtime is not installed", where=path, do="pip install 'workbench[onnx]'"
        ) from error
    open_in_child.require_sound(path, "onnx")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own classes, none of them public
        raise DataError(f"cannot be read: {error}", where=path, expected="a sound ONNX model") from error
    entry = session.get_inputs()[0]
    shape = tuple(entry.shape[1:])
    first = len(shape) == 3 and shape[0] == 3 and shape[2] != 3
    side = square((*shape[1:], 3) if first else shape, size, path.name)
    kind = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(entry.type, np.float32)
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None

    def run(images: np.ndarray) -> np.ndarray:
        given = prepared(images, values, kind is np.uint8).astype(kind)
        given = np.ascontiguousarray(given.transpose(0, 3, 1, 2) if first else given)
        step = fixed or len(given)
        parts = [filled_up(given[part], step) for part in blocks(len(given), step)]
        return np.concatenate([session.run(None, {entry.name: part})[0] for part in parts])[: len(given)]

    return Network(path.name, side, lambda images: (run(images), run(images[:, :, ::-1])))


def from_tflite(path: Path, size: int | None = None, values: Range = "unit") -> Embedder:
    """Return the embedder of a TFLite model; quantised inputs and outputs are scaled as the file says."""
    model = TFLite(path)
    entry, end = model.entry, model.end
    side = square(tuple(n if n > 0 else None for n in entry["shape"][1:]), size, path.name)

    def run(images: np.ndarray) -> np.ndarray:
        scale, zero = entry["quantization"]
        kind = np.dtype(entry["dtype"])
        given = prepared(images, values, kind == np.uint8 and not scale)
        result = model.run(_quantised(given, scale, zero, kind))
        scale, zero = end["quantization"]
        return (result.astype(np.float32) - zero) * scale if scale else result

    return Network(path.name, side, lambda images: (run(images), run(images[:, :, ::-1])))


def _quantised(values: np.ndarray, scale: float, zero: int, kind: Any) -> np.ndarray:
    if not scale:
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale + zero), limits.min, limits.max).astype(kind)


def prepared(images: np.ndarray, values: Range, as_is: bool = False) -> np.ndarray:
    """Return uint8 images as a model of range `values` takes them."""
    if as_is or values == "raw":
        return images
    return normalise_array(images)


def square(shape: tuple[Any, ...], size: int | None, label: str) -> int:
    """Return the input side of a model whose input has `shape` [h, w, 3], None or a text where it is open."""
    known = [n for n in shape[:2] if isinstance(n, int)]
    if len(shape) != 3 or (isinstance(shape[2], int) and shape[2] != 3) or len(set(known)) > 1:
        raise DataError(
            f"takes input of shape {list(shape)}", where=label, expected="square colour images [s, s, 3]"
        )
    if known and size not in (None, known[0]):
        raise DataError(
            f"takes images of {known[0]} x {known[0]}", where=label, expected=f"{size} x {size} as asked"
        )
    if not known and size is None:
        raise DataError("leaves the size of its input open", where=label, do="say it with --size")
    return known[0] if known else int(size or 0)
