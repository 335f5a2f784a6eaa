"""Model files are judged by what their loader sees in them, whatever they are called, before anything is opened."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from workbench.errors import DataError, InputError
from workbench.models import load_keras
from workbench.security.allowed_operations import OPERATIONS, SAVING


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": [{"class_name": kind, "config": config}]}}


def hdf5(path: Path, configuration: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(configuration)
    return path


LAMBDA = layer("Lambda", name="payload")


@pytest.mark.parametrize(
    "name", ["model.h5", "model.hdf", "model.weights", "model", "model.keras", "model.onnx"]
)
def test_a_lambda_in_hdf5_is_seen_under_any_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="holds code.*payload"):
        load_keras.require_trust(hdf5(tmp_path / name, LAMBDA))


def test_an_archive_behind_hdf5_hides_nothing(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "model.h5", LAMBDA)
    with zipfile.ZipFile(tmp_path / "tail.zip", "w") as archive:
        archive.writestr("config.json", json.dumps(layer("Dense", units=3)))
    path.write_bytes(path.read_bytes() + (tmp_path / "tail.zip").read_bytes())
    assert zipfile.is_zipfile(path) and h5py.is_hdf5(path)
    with pytest.raises(InputError, match="holds code"):
        load_keras.require_trust(path)


def test_a_plain_model_needs_no_trust(tmp_path: Path) -> None:
    load_keras.require_trust(hdf5(tmp_path / "model.h5", layer("Dense", units=3)))


def test_parts_in_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 80)
    for number in range(3):
        path = hdf5(tmp_path / f"{number}.h5", layer("Dense", units=3))
        with h5py.File(path, "a") as file:
            if number == 0:
                file["weights"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/w")
            elif number == 1:
                file.create_dataset("w", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)])
            else:
                layout = h5py.VirtualLayout((10,), "f8")
                layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", (10,))
                file.create_virtual_dataset("w", layout)
        with pytest.raises(DataError, match="another file"):
            load_keras.require_trust(path)


def test_absurd_sizes_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    for kind, config in (("Dense", {"units": 10**12}), ("Conv2D", {"filters": 8, "kernel_size": [1, 10**9]})):
        with pytest.raises(DataError, match="asks for"):
            load_keras.require_trust(hdf5(tmp_path / "model.h5", layer(kind, **config)))


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(layer("Dense", units=3)))
        archive.writestr("other", np.random.default_rng(0).bytes(1000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged|not a Keras model"):
        load_keras.require_trust(path)


def test_no_allowed_operation_reaches_outside() -> None:
    for word in (
        "File",
        "Dataset",
        "Summary",
        "PyFunc",
        "Reader",
        "Rpc",
        "Debug",
        "DumpTensor",
        "Print",
        "Custom",
    ):
        assert not [name for name in OPERATIONS if word in name]
    assert not OPERATIONS & SAVING and {"Conv2D", "MatMul", "StatefulPartitionedCall"} <= OPERATIONS


# Operations of TensorFlow that write a file, start a program or talk to somebody; the list in the product is of what is
# allowed, so these are only examples.
_NAMES = """
WriteFile Save SaveV2 SaveSlices MergeV2Checkpoints PrintV2 Print DebugIdentity DebugIdentityV2
DebugIdentityV3 WriteSummary WriteImageSummary WriteScalarSummary WriteGraphSummary CreateSummaryFileWriter
CreateSummaryDbWriter DatasetToTFRecord ExperimentalDatasetToTFRecord SaveDataset SaveDatasetV2
SnapshotDataset SnapshotDatasetV2 CacheDataset CacheDatasetV2 DistributedSave DumpTensor ReadFile
MatchingFiles TFRecordDataset TextLineDataset WholeFileReaderV2 TFRecordReaderV2 RestoreV2 Restore
LoadDataset InitializeTableFromTextFileV2 FixedLengthRecordDataset PyFunc PyFuncStateless EagerPyFunc RpcCall
RpcServer RegisterDataset DataServiceDataset DataServiceDatasetV4 XlaLaunch SymbolicGradient RemoteCall Send
Recv _Send _HostSend LoadLibrary RegisterKernelLibrary TPUExecute
"""
REACHING_OUT = _NAMES.split()


def test_what_reaches_out_is_not_allowed() -> None:
    assert not [name for name in REACHING_OUT if name in OPERATIONS]


@pytest.mark.tensorflow
def test_a_saved_model_with_an_operation_that_reaches_out_is_refused_by_its_name(tmp_path: Path) -> None:
    from workbench.lazy import inside_tensorflow

    kind = inside_tensorflow("core.protobuf.saved_model_pb2").SavedModel
    for name in REACHING_OUT:
        for place in ("graph", "function", "called"):
            model = kind()
            graph = model.meta_graphs.add()
            if place == "graph":
                graph.graph_def.node.add(op=name, name="innocent")
            else:
                function = graph.graph_def.library.function.add()
                function.signature.name = "saver"
                function.node_def.add(op=name, name="innocent")
                caller = graph.graph_def.node.add(op="PartitionedCall", name="caller")
                if place == "called":
                    caller.attr["f"].func.name = "saver"
                    graph.object_graph_def.concrete_functions["saver"].SetInParent()
            if place == "function" and name in SAVING:
                continue  # how a SavedModel keeps its weights, called by nobody
            (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
            with pytest.raises(InputError, match=f"the operation {name}"):
                load_keras.require_trust(tmp_path)


@pytest.mark.tensorflow
def test_no_allowed_operation_takes_a_file() -> None:
    """TensorFlow's own register says what an operation is given and holds."""
    from workbench.lazy import inside_tensorflow

    register = inside_tensorflow("python.framework.op_def_registry")
    words = (
        "file",
        "path",
        "directory",
        "prefix",
        "address",
        "host",
        "url",
        "db_uri",
        "output_stream",
        "token",
    )
    found = {}
    for name in OPERATIONS:
        description = register.get(name)
        if description is not None:
            given = [argument.name for argument in (*description.input_arg, *description.attr)]
            reaching = [word for word in given if any(part in word for part in words)]
            if reaching:
                found[name] = reaching
    assert found == {}
