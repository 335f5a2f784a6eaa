"""Model files that mean harm or are damaged, a hundred of them by number; each would leave a mark if it ran."""

from __future__ import annotations

import base64
import json
import marshal
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MODELS = 100
NAMES = ("m.h5", "m.keras", "m.hdf", "m.hdf5", "m.weights", "m", "m.onnx", "m.tflite", "m.npz", "m.bin")
OPERATIONS = (
    "WriteFile",
    "PrintV2",
    "SaveV2",
    "DatasetToTFRecord",
    "EagerPyFunc",
    "ReadFile",
    "DebugIdentityV2",
)


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    first = {"batch_input_shape": [None, 32, 32, 3], "dtype": "float32", "name": "input"}
    head = {"class_name": "InputLayer", "config": first}
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [head, *layers]}}


def dense(units: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"name": "dense", "units": units}}


def code(mark: Path) -> dict[str, Any]:
    """Return a Lambda layer as Keras keeps it; to open it is to run it."""
    source = f"(lambda x: (open({str(mark)!r}, 'w').close(), x)[1])"
    made = marshal.dumps(eval(source).__code__)  # noqa: S307 - a payload on purpose
    function = [base64.b64encode(made).decode(), None, None]
    config = {"name": "payload", "function": function, "function_type": "lambda", "output_shape": [32, 32, 3]}
    return {"class_name": "Lambda", "config": config}


def hdf5(path: Path, configuration: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(configuration)
        file.attrs["keras_version"] = "2.15.0"
        file.create_dataset("model_weights/w", data=np.arange(500.0), compression="gzip")
    return path


def archive(path: Path, configuration: Any, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", json.dumps(configuration))
        file.writestr("metadata.json", "{}")
        for name, content in parts.items():
            file.writestr(name.replace("_h5", ".h5"), content)
    return path


def lambda_under_any_name(folder: Path, mark: Path, rng: random.Random) -> Path:
    made = rng.choice((hdf5, archive))
    return made(
        folder / rng.choice(NAMES[:6]), sequential(code(mark), {"class_name": "Flatten", "config": {}})
    )


def archive_behind_hdf5(folder: Path, mark: Path, rng: random.Random) -> Path:
    one, other = sequential(code(mark)), sequential(dense(3))
    first, second = (one, other) if rng.random() < 0.5 else (other, one)
    path = hdf5(folder / rng.choice(NAMES[:6]), first)
    tail = archive(folder / "tail.zip", second).read_bytes()
    path.write_bytes(path.read_bytes() + tail)
    return path


def function_of_a_module(folder: Path, mark: Path, rng: random.Random) -> Path:
    module, name = rng.choice(
        (("os", "system"), ("builtins", "exec"), ("subprocess", "run"), ("keras.utils", "get_file"))
    )
    layer = {
        "module": module,
        "class_name": name,
        "config": {"name": f"touch {mark}"},
        "registered_name": name,
    }
    call = {
        "class_name": "TFOpLambda",
        "config": {"name": "call", "function": rng.choice(("io.write_file", "py_function"))},
    }
    return archive(
        folder / "m.keras", sequential(rng.choice((layer, call, {"class_name": "Dense", "config": layer})))
    )


def other_files(folder: Path, mark: Path, rng: random.Random) -> Path:
    path = hdf5(folder / "m.h5", sequential(dense(3)))
    with h5py.File(path, "a") as file:
        kind = rng.randrange(3)
        if kind == 0:
            file["x"] = h5py.ExternalLink("/etc/passwd", "/w")
        elif kind == 1:
            file.create_dataset("x", (10,), "f8", external=[("/etc/passwd", 0, 80)])
        else:
            layout = h5py.VirtualLayout((10,), "f8")
            layout[:] = h5py.VirtualSource("/etc/hostname", "w", (10,))
            file.create_virtual_dataset("x", layout)
    if rng.random() < 0.5:
        return archive(folder / "m.keras", sequential(dense(3)), model_weights_h5=path.read_bytes())
    return path


def absurd_size(folder: Path, mark: Path, rng: random.Random) -> Path:
    size = rng.choice((10**9, 10**15, 2**63, -5 * 10**9))
    layers = (
        dense(size),
        {"class_name": "Conv2D", "config": {"filters": size, "kernel_size": [1, 1]}},
        {"class_name": "Embedding", "config": {"input_dim": size, "output_dim": 4}},
        {"class_name": "UpSampling2D", "config": {"size": [size, size]}},
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, size, size, 3]}},
    )
    return rng.choice((hdf5, archive))(folder / "m.keras", sequential(rng.choice(layers)))


def deep(folder: Path, mark: Path, rng: random.Random) -> Path:
    depth = rng.choice((500, 5_000, 100_000))
    opening, closing = rng.choice(
        (('{"config":', "}"), ("[", "]"), ('{"class_name":"Bidirectional","config":{"layer":', "}}"))
    )
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", opening * depth + "1" + closing * depth)
    return path


def damaged(folder: Path, mark: Path, rng: random.Random) -> Path:
    made = rng.choice((hdf5, archive))
    path = made(folder / ("m.h5" if made is hdf5 else "m.keras"), sequential(code(mark)))
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        del content[rng.randrange(8, len(content)) :]
    else:
        for _ in range(rng.choice((3, 50))):
            content[rng.randrange(8, len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return path


def saved_model(folder: Path, mark: Path, rng: random.Random) -> Path:
    from workbench.lazy import inside_tensorflow

    model = inside_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    graph = model.meta_graphs.add()
    node = graph.graph_def.node
    if rng.random() < 0.5:
        function = graph.graph_def.library.function.add()
        function.signature.name = "f"
        graph.object_graph_def.concrete_functions["f"].SetInParent()
        node = function.node_def
    node.add(op=rng.choice(OPERATIONS), name="x")
    path = folder / "saved"
    path.mkdir()
    content = model.SerializeToString()
    (path / "saved_model.pb").write_bytes(content[: rng.choice((len(content), len(content) - 3))])
    return path


def onnx_elsewhere(folder: Path, mark: Path, rng: random.Random) -> Path:
    place = rng.choice(("/etc/passwd", "../../etc/passwd", "../secret", "x" * 200)).encode()
    size = bytes([len(place)]) if len(place) < 128 else bytes([len(place) & 127 | 128, len(place) >> 7])
    path = folder / "m.onnx"
    path.write_bytes(b"\x08\x07" + b"\x0a\x08location\x12" + size + place)
    return path


def no_model(folder: Path, mark: Path, rng: random.Random) -> Path:
    path = folder / rng.choice(NAMES)
    kind = rng.randrange(4)
    if kind == 0:
        path.write_bytes(rng.randbytes(3000))
    elif kind == 1:
        path.write_bytes(b"\x1c\0\0\0TFL3" + rng.randbytes(500) + b"FlexWriteFile" + rng.randbytes(500))
        path = path.rename(folder / "m.tflite")
    elif kind == 2:
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    return path


KINDS: tuple[Callable[[Path, Path, random.Random], Path], ...] = (
    lambda_under_any_name, archive_behind_hdf5, function_of_a_module, other_files, absurd_size, deep, damaged,
    saved_model, onnx_elsewhere, no_model,
)  # fmt: skip


def hostile_model(number: int, folder: Path, mark: Path) -> tuple[str, Path]:
    """Make the model file of a number in a folder; return its kind and its path."""
    kind = KINDS[number % len(KINDS)]
    return kind.__name__, kind(folder, mark, random.Random(number))
