"""Reads a pickle that someone else made without running anything that is in it.

The field keeps its evaluation pairs in `.bin` files, which are pickles, and a pickle may name any
function and have it called. Here every name is answered from a short literal table of stand-ins;
NumPy's own constructors are never reached: an array is noted as (type, shape, bytes) and made
afterwards with `numpy.frombuffer`. Whatever else a file names is refused, by that name.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import DataError

PLAIN_KINDS = "biuf"  # booleans, whole numbers, floats: no objects, no structures, no texts


class _DType:
    """The note of a NumPy type: its short text and its byte order."""

    def __init__(self, text: Any, *_: Any) -> None:
        self.text = text.decode("ascii") if isinstance(text, bytes) else str(text)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else str(order)

    def resolve(self) -> np.dtype[Any]:
        if self.text[:1] not in PLAIN_KINDS or not self.text[1:].isdigit():
            raise _Refused(f"a NumPy array of type {self.text!r}")
        plain = np.dtype(self.text)
        return plain.newbyteorder(self.order) if self.order in "<>" else plain  # type: ignore[arg-type]


class _Array:
    """The note of a NumPy array, filled by the pickle's own state."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolve(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise _Refused("a NumPy array without its content")
        _, shape, dtype, fortran, raw = self.state
        return _array(shape, dtype, "F" if fortran else "C", raw)


class _Buffer(_Array):
    """The note of an array or a scalar whose pickle is one call with all of its content."""

    def __init__(self, shape: Any, dtype: Any, order: Any, raw: Any) -> None:
        self.state = (1, shape, dtype, order in ("F", b"F"), raw)


class _Refused(Exception):
    """Carries what was refused out of the unpickler."""


def _array(shape: Any, dtype: Any, order: Any, raw: Any) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(shape, tuple):
        raise _Refused("a NumPy array of an unknown form")
    if isinstance(raw, str):  # Python 2 texts
        raw = raw.encode("latin1")
    kind = dtype.resolve()
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    if not isinstance(raw, (bytes, bytearray)) or len(sizes) != len(shape):
        raise _Refused("a NumPy array of objects")
    if math.prod(sizes) * kind.itemsize != len(raw):
        raise _Refused(f"a NumPy array whose shape {shape} does not fit its {len(raw)} bytes")
    return np.frombuffer(raw, kind).reshape(sizes, order=order)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or str(encoding).lower() not in ("latin1", "latin-1", "utf-8", "utf8"):
        raise _Refused("a text of unknown encoding")
    return text.encode(str(encoding))


def _array_class(*_: Any) -> Any:
    raise _Refused("a NumPy array made by its class")


class _StandIn:
    """What a pickle gets for a name: it can be called or passed on, and not be changed."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("a change of a function")


# (module, name) -> stand-in. Both homes of NumPy's internals, before and since version 2.
_TABLE: dict[tuple[str, str], _StandIn] = {
    ("numpy", "ndarray"): _StandIn(_array_class),
    ("numpy", "dtype"): _StandIn(_DType),
    ("collections", "OrderedDict"): _StandIn(lambda *_: {}),
    ("collections", "defaultdict"): _StandIn(lambda *_: {}),
    ("builtins", "list"): _StandIn(lambda *_: []),  # what a `defaultdict(list)` makes
    ("__builtin__", "list"): _StandIn(lambda *_: []),
    ("_codecs", "encode"): _StandIn(_encode),  # how protocols 0 to 2 of Python 3 write bytes
    ("__builtin__", "bytes"): _StandIn(lambda: b""),  # and how they write none
    **{
        (f"{home}.{module}", name): _StandIn(stand_in)
        for home in ("numpy.core", "numpy._core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", lambda *_: _Array()),
            ("multiarray", "scalar", lambda dtype, raw: _Buffer((), dtype, "C", raw)),
            ("numeric", "_frombuffer", lambda raw, dtype, shape, order: _Buffer(shape, dtype, order, raw)),
        )
    },
}


class _Reader(pickle._Unpickler):  # type: ignore[name-defined]
    """An unpickler that knows the names in the table and nothing else.

    It is the one written in Python: the one in C makes room for any length and memo number that a
    damaged file claims, gigabytes for a few bytes, before it reads.
    """

    dispatch = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def load_bytearray8(self: Any) -> None:
        """Read a bytearray of which the file says the length: Python makes room for it before it reads."""
        (size,) = struct.unpack("<Q", self.read(8))
        content = self.read(min(size, sys.maxsize))
        if len(content) < size:
            raise EOFError("cut short")
        self.append(bytearray(content))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8  # type: ignore[assignment]

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _TABLE.get((module, name))
        if stand_in is None:
            raise _Refused(f"{module}.{name}")
        return stand_in

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a reference to something outside of the file")


_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    MemoryError,
    OverflowError,
    RecursionError,
    ImportError,
    struct.error,
)


def load(path: Path, dictionaries: bool = False) -> Any:
    """Return what the pickle file at `path` holds: bytes, texts, lists, tuples, booleans, numbers, arrays.

    With `dictionaries` these too, as a pickled `History.history` is one. Texts of Python 2 come as bytes.
    Arrays are read-only views of the file's bytes. Raises `DataError` for a file that names anything else, or
    that is not a whole pickle; nothing in it is run.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError("cannot be read", where=path, expected="a readable file", do=str(error)) from error
    return loads(content, path, dictionaries)


def loads(content: bytes, where: object = "pickle", dictionaries: bool = False) -> Any:
    """Return what the pickle `content` holds, as `load` does; `where` is for messages."""
    try:
        return _plain(_Reader(io.BytesIO(content), encoding="bytes").load(), {}, 0, dictionaries)
    except _Refused as error:
        raise DataError(
            f"refused, it holds {error}",
            where=where,
            expected="bytes, texts, lists, tuples, booleans, numbers and plain NumPy arrays only",
            do="nothing in it was run; get the file from a source you trust",
        ) from error
    except _BROKEN as error:
        raise DataError(
            "is damaged or no pickle",
            where=where,
            expected="a whole pickle file",
            do=f"copy it again ({type(error).__name__}: {error})",
        ) from error


def _plain(value: Any, done: dict[int, Any], depth: int, dictionaries: bool = False) -> Any:
    """Return `value` with notes turned into arrays, refusing every other type; shared parts stay shared."""
    if isinstance(value, (bytes, str, bool, int, float)):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, _Array):
        made: Any = value.resolve()
        made = made.item() if made.ndim == 0 else made
    elif type(value) in (list, tuple) and depth < 50:
        made = type(value)(_plain(item, done, depth + 1, dictionaries) for item in value)
    elif dictionaries and type(value) is dict and depth < 50:
        made = {_key(key): _plain(item, done, depth + 1, dictionaries) for key, item in value.items()}
    elif type(value) is dict:
        raise _Refused("a dictionary")
    else:
        raise _Refused(f"a value of type {type(value).__name__.strip('_')}")
    done[id(value)] = (value, made)  # the value is kept alive: its id must stay its own
    return made


def _key(key: Any) -> Any:
    if not isinstance(key, (bytes, str, int, float)):
        raise _Refused(f"a dictionary with keys of type {type(key).__name__.strip('_')}")
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key
