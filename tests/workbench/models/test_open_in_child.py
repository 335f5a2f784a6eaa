"""A model file that crashes, bloats or hangs its reader does so in a process of its own, and becomes one line."""

from __future__ import annotations

import json
import os
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from workbench.errors import DataError
from workbench.models import load_keras, open_in_child
from workbench.security import children, model_files


def sequential(*layers: tuple[str, dict[str, Any]]) -> str:
    first = {"batch_input_shape": [None, 32, 32, 3], "dtype": "float32", "name": "input"}
    found = [{"class_name": "InputLayer", "config": first}]
    found += [
        {"class_name": kind, "config": {"name": f"layer_{number}", **config}}
        for number, (kind, config) in enumerate(layers)
    ]
    return json.dumps({"class_name": "Sequential", "config": {"name": "model", "layers": found}})


def hdf5(path: Path, text: str = sequential(("Flatten", {}), ("Dense", {"units": 4}))) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = text
        file.attrs["keras_version"] = "2.15.0"
        file.create_dataset("weights", data=np.arange(1000.0), compression="gzip")
    return path


@pytest.fixture
def own_opener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_in_child, "_opener", [])


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "ends its reader by signal 11"),
        (lambda: os.kill(os.getpid(), signal.SIGABRT), "ends its reader by signal 6"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ends its reader by signal 9"),
        (lambda: os.kill(os.getpid(), signal.SIGXCPU), "takes too long to open"),
        (lambda: os._exit(1), "ends its reader .status 1"),
        (lambda: bytearray(40 << 30), "asks for more than 4 GB of memory"),
    ],
)
def test_whatever_ends_the_fork_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Any, said: str
) -> None:
    """The opener stands here for the process of its own: what it would answer is what a fork of this one gives."""
    path = hdf5(tmp_path / "model.h5")
    monkeypatch.setattr(open_in_child, "_asked", open_in_child.open_in_fork)
    monkeypatch.setitem(open_in_child.KINDS, "look", (lambda path: ends(), ()))
    for _ in range(2):  # what was not survived is tried again, what was is not
        with pytest.raises(DataError, match=said):
            load_keras.require_trust(path)
    monkeypatch.setitem(open_in_child.KINDS, "look", (lambda path: None, ()))
    load_keras.require_trust(path)
    monkeypatch.setitem(open_in_child.KINDS, "look", (lambda path: ends(), ()))
    load_keras.require_trust(path)


def test_an_opener_that_hangs_or_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_opener: None
) -> None:
    path, program = hdf5(tmp_path / "model.h5"), tmp_path / "python"
    program.write_text("#!/bin/sh\nread line\nsleep 60\n")
    program.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(program))
        patched.setattr(open_in_child, "PATIENCE_SECONDS", 0.5)
        with pytest.raises(DataError, match="takes too long"):
            load_keras.require_trust(path)
        program.write_text("#!/bin/sh\nexit 4\n")
        patched.setattr(open_in_child, "PATIENCE_SECONDS", 60)
        with pytest.raises(DataError, match="ends its reader"):
            load_keras.require_trust(path)
    load_keras.require_trust(path)  # a real one, which is asked again after a death
    open_in_child._opener[0].kill()
    open_in_child._sound.clear()
    load_keras.require_trust(path)


def test_an_archive_that_unpacks_to_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.keras"
    hdf5(tmp_path / "w.h5")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", sequential(("Flatten", {})))
        archive.writestr("model.weights.h5", (tmp_path / "w.h5").read_bytes() + bytes(60_000_000))
    assert open_in_child.open_in_fork("look", path) == 0
    monkeypatch.setattr(children, "MODEL_MEMORY", 20_000_000)
    assert path.stat().st_size < 1_000_000
    assert open_in_child.open_in_fork("look", path) == open_in_child.TOO_LARGE


@pytest.mark.parametrize("offset", [0, 512, 1024, 4096])
def test_hdf5_is_known_wherever_it_begins(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(offset) + hdf5(tmp_path / "model.h5").read_bytes())
    assert model_files.is_keras(path)
    (tmp_path / "other.bin").write_bytes(b"x" * 5000)
    assert not model_files.is_keras(tmp_path / "other.bin")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "link", "folder/../../secret", "a" * 200])
def test_an_onnx_model_reads_no_other_file(tmp_path: Path, place: str) -> None:
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x" * 16)
    (folder / "link").symlink_to(tmp_path / "secret")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    value = onnx.helper.make_tensor_value_info("x", 1, [4])
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    made = onnx.helper.make_tensor_value_info("y", 1, [4])
    graph = onnx.helper.make_graph([node], "g", [value], [made], [tensor])
    path = folder / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(DataError, match="keeps weights in another file"):
        load_keras.require_trust(path)
    (folder / "plain").write_bytes(b"x" * 16)
    tensor.external_data[0].value = "plain"
    graph = onnx.helper.make_graph([node], "g", [value], [made], [tensor])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    load_keras.require_trust(path)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "layers",
    [
        (("Flatten", {}), ("Dense", {"units": 90_000_000})),
        (("UpSampling2D", {"size": [4000, 4000]}), ("GlobalAveragePooling2D", {})),
    ],
    ids=["weights", "activations"],
)
def test_a_network_that_asks_for_too_much_is_one_line(tmp_path: Path, layers: Any) -> None:
    load_keras.require_trust(hdf5(tmp_path / "small.h5"))  # the process that opens files is there
    path = hdf5(tmp_path / "model.h5", sequential(*layers))
    with pytest.raises(DataError, match="asks for more than|ends its reader|cannot be read"):
        load_keras.load_keras(path)


@pytest.mark.parametrize("model", [b"", b"\x08\x07", b"no model at all", bytes(1000)])
def test_a_damaged_onnx_model_is_one_line(tmp_path: Path, model: bytes) -> None:
    pytest.importorskip("onnxruntime")
    from workbench.verification.models import from_onnx

    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    with pytest.raises(DataError) as result:
        from_onnx(path)
    assert "\n" not in str(result.value)
