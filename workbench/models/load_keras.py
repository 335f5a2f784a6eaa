"""Model files from elsewhere: looked into before they are opened, because opening some of them runs code.

A Keras file can hold Python code (Lambda layers) and the names of any function of any module; a graph can
read and write files. Such a file is opened only where its user says `--trust-code` (or `trust_code=True`).
What is looked for is what Keras 2 would act on, and operations that are not among the allowed ones.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from workbench.errors import DataError, InputError, few
from workbench.lazy import inside_keras, inside_tensorflow, tf
from workbench.models import open_in_child
from workbench.models.open_keras import open_keras
from workbench.security import model_files
from workbench.security.allowed_operations import OPERATIONS, SAVING

CODE_CLASSES = ("Lambda", "__lambda__", "TensorFlowOpLayer", "ClassMethod", "TorchModuleWrapper")
# Where Keras keeps what a configuration may name; its utilities and back ends are not among them.
MODULES = re.compile(
    r"(?:tensorflow\.|tf_)?keras(?:\.src)?"
    r"(?:\.(?:layers|models|engine|initializers|regularizers|constraints|activations|losses|metrics|optimizers"
    r"|mixed_precision|applications|premade_models|dtensor)(?:\.\w+)*)?"
    r"|tensorflow_addons\.(?:layers|activations)(?:\.\w+)*|workbench\.(?:models\.)?(?:backbones|heads|losses)\.\w+|builtins"
)
# Names of TensorFlow's functions that a functional model may call: mathematics and shapes.
CALLS = re.compile(
    r"(?:tf\.)?(?:__operators__\.\w+|(?:math|nn|linalg|image|signal|bitwise|keras\.backend|keras\.activations|compat\.v1\.nn"
    r"|compat\.v1\.math)\.\w+|cast|reshape|concat|split|stack|unstack|transpose|squeeze|expand_dims|tile|pad|slice"
    r"|strided_slice|gather|gather_nd|shape|size|rank|identity|zeros_like|ones_like|zeros|ones|fill|range|where|clip_by_value"
    r"|clip_by_norm|one_hot|matmul|tensordot|einsum|reverse|repeat|roll|sort|argsort|stop_gradient|broadcast_to|convert_to_tensor"
    r"|boolean_mask|sequence_mask|norm|abs|add|add_n|subtract|multiply|divide|pow|sqrt|square|exp|maximum|minimum|sign|round|floor"
    r"|sin|cos|tan|tanh|acos|asin|sigmoid|reduce_\w+|cumsum|equal|greater\w*|less\w*|logical_\w+|not_equal|argmax|argmin|nest\.\w+)"
)


def load_keras(path: str | Path, trust_code: bool = False) -> tf.keras.Model:
    """Return the Keras model in a .keras, .h5 or SavedModel: the one place where the project opens one.

    Raises `InputError` for a file with code in it unless `trust_code`, and `DataError` for one that
    cannot be read.
    """
    path = Path(path)
    if not (path.is_file() or path.is_dir()):  # a pipe would keep every reader waiting
        words = "is not a file" if os.path.lexists(path) else "is not there"
        raise DataError(f"cannot be read: {words}", where=path, expected="a saved Keras model")
    require_trust(path, trust_code)
    if not trust_code:  # whose code runs need not crash anything, and must not run twice
        open_in_child.require_sound(path, "keras")
    try:
        return open_keras(path, trust_code)
    except MemoryError as error:
        raise DataError("asks for more memory than there is", where=path, expected="a saved model") from error


def require_trust(path: str | Path, trust_code: bool = False) -> None:
    """Raise `InputError` for a model file that holds code, unless its user trusts it."""
    if trust_code:
        return
    found = list(dict.fromkeys(code_in(Path(path))))
    if found:
        raise InputError(
            f"holds code that opening it would run: {few(found)}",
            where=path,
            do="only if you know who made it, say --trust-code (in a spec: trust_code=True)",
        )


def code_in(path: Path) -> Iterator[str]:
    """Yield what code a model file or folder holds; raises `DataError` for one that cannot be looked into.

    A file is judged by its content, as its loader takes it; its name says nothing.
    """
    if path.is_dir():
        yield from _in_saved_model(path)
    elif path.is_file():
        if model_files.is_keras(path):
            open_in_child.require_sound(path, "look")
        try:
            for value in model_files.configurations(path):
                yield from _in_configuration(value)
        except RecursionError as error:
            raise DataError("is nested too deeply", where=path, expected="a saved Keras model") from error
        if path.suffix == ".tflite" or model_files.is_tflite(path):
            yield from _in_tflite(path)
        if path.suffix == ".onnx":
            model_files.refuse_other_files(path)


# ---------------------------------------------------------------- Keras


def _in_configuration(value: Any) -> Iterator[str]:
    """Yield what a configuration names that would run as code."""
    if isinstance(value, list):
        for item in value:
            yield from _in_configuration(item)
    if not isinstance(value, dict):
        return
    name, module = value.get("class_name"), value.get("module")
    if isinstance(name, str):
        yield from _in_object(name, module, value.get("config"))
    if name == "__typespec__" and not str(value.get("module", "")).startswith("tensorflow."):
        yield f"{value.get('module')}.{value.get('spec_name')}"
    for item in value.values():
        yield from _in_configuration(item)


def _in_object(name: str, module: Any, config: Any) -> Iterator[str]:
    called = config.get("function") if isinstance(config, dict) else None
    if name.rpartition(">")[2] in CODE_CLASSES:
        title = config.get("name", "") if isinstance(config, dict) else ""
        yield f"{name} layer {title!r}" if title else name
    elif module is not None and name != "__typespec__" and not MODULES.fullmatch(str(module)):
        yield f"{module}.{config if name == 'function' else name}"
    elif name == "function" and module is not None and not _is_known_function(config):
        yield f"the function {config!r}"
    elif name == "TFOpLambda" and not CALLS.fullmatch(str(called)):
        yield f"a call of {called}"


def _is_known_function(name: Any) -> bool:
    """Tell whether a function named without a class is an activation, a loss, a metric or the like."""
    keras = tf.keras
    places = (keras.activations, keras.losses, keras.metrics, keras.initializers, keras.regularizers)
    return isinstance(name, str) and any(hasattr(place, name) for place in places)


# ---------------------------------------------------------------- graphs


def _in_saved_model(path: Path) -> Iterator[str]:
    model = inside_tensorflow("core.protobuf.saved_model_pb2").SavedModel()
    _parse(model, path / "saved_model.pb")
    for graph in model.meta_graphs:
        yield from _in_nodes(graph.graph_def.node)
        kept = _saving_functions(graph)
        for function in graph.graph_def.library.function:
            yield from _in_nodes(function.node_def, SAVING if function.signature.name in kept else ())
        for node in graph.object_graph_def.nodes:
            yield from _in_metadata(node.user_object.metadata)
    metadata = path / "keras_metadata.pb"
    if metadata.is_file():
        saved = inside_keras("protobuf.saved_metadata_pb2").SavedMetadata()
        _parse(saved, metadata)
        for node in saved.nodes:
            yield from _in_metadata(node.metadata)


def _saving_functions(graph: Any) -> set[str]:
    """Return the functions by which a SavedModel keeps its weights: no other function calls them, nor does a user.

    They write to the place that they are given; one that a model's own functions could call is judged like those.
    """
    library = graph.graph_def.library.function
    called = {
        name
        for function in library
        for node in function.node_def
        for value in node.attr.values()
        for name in (value.func.name, *(inner.name for inner in value.list.func))
    }
    offered = set(graph.object_graph_def.concrete_functions)
    return {function.signature.name for function in library} - called - offered


def _parse(message: Any, path: Path) -> None:
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=path, expected="a SavedModel") from error


def _in_metadata(text: str) -> Iterator[str]:
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return  # Keras cannot read it either, and passes it over
    yield from _in_configuration(value)


def _in_nodes(nodes: Iterable[Any], also: Iterable[str] = ()) -> Iterator[str]:
    for node in nodes:
        if node.op not in OPERATIONS and node.op not in also:
            yield f"the operation {node.op}"


def _in_tflite(path: Path) -> Iterator[str]:
    """Yield operations of TensorFlow that a TFLite file calls beside its own, whatever they call themselves.

    What such an operation does stands in a graph of its own behind its name, so the name alone is not a proof.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error
    for name in sorted({found.decode() for found in re.findall(rb"Flex([A-Za-z]\w+)", content)}):
        yield f"the operation {name}"
