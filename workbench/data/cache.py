"""Arrays that can be made again, kept under `mlruns/cache/` so that they need not be.

A cache file is the array as `.npy` (no objects) with a CRC32 of its bytes in front, or several arrays
with a hash: a file cut short or changed is made anew, never believed. It is written aside and renamed, so that two processes that
make the same one at the same moment do no harm.
"""

from __future__ import annotations

import io
import json
import logging
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench.files import replacing
from workbench.spec.interfaces import Places

log = logging.getLogger(__name__)

MAGIC = b"arrays 1"
_HEAD = struct.Struct("<8sQQ")  # magic, hash of all that follows, length of the list of arrays


def array(places: Places, name: str, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the cached array `name` of this shape, or make it and keep it where there is a cache."""
    if places.cache is None:
        return make()
    path = places.cache / f"{name}.array"
    found = load(path)
    # The shape is part of the question: a cache of another size is as good as none.
    if found is not None and found.shape == shape:
        return found
    made = make()
    store(path, made)
    return made


def load(path: Path) -> np.ndarray | None:
    """Return the array in a cache file, or None where it is missing, damaged or of another kind."""
    content = _checked(path)
    if content is None:
        return None
    try:
        found = np.load(content, allow_pickle=False)
    except (ValueError, EOFError):
        return None
    return found if isinstance(found, np.ndarray) else None


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Return the named arrays of a cache file by `store_arrays`, or None where it is missing or damaged."""
    import xxhash

    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    # Views of one read, not copies: an index of millions of images fills hundreds of megabytes.
    head, rest = content[: _HEAD.size].tobytes(), content[_HEAD.size :]
    if len(head) < _HEAD.size:
        return None
    magic, digest, length = _HEAD.unpack(head)
    if magic != MAGIC or digest != xxhash.xxh3_64_intdigest(rest.data):
        return None
    result, start = {}, length
    for name, kind, shape in json.loads(rest[:length].tobytes()):
        stop = start + np.dtype(kind).itemsize * math.prod(shape)
        result[name] = rest[start:stop].view(kind).reshape(shape)
        start = stop
    return result


def _checked(path: Path) -> io.BytesIO | None:
    try:
        with open(path, "rb") as file:
            head, content = file.read(4), file.read()
    except OSError:
        return None
    if len(head) < 4 or struct.unpack("<I", head)[0] != zlib.crc32(content):
        return None
    return io.BytesIO(content)


def store(path: Path, values: np.ndarray) -> None:
    """Write a cache file; a full or read-only disk is noted in the log and costs only the time saved."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write(path, struct.pack("<I", zlib.crc32(buffer.getbuffer())), buffer.getbuffer())


def store_arrays(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write several named arrays of numbers into one cache file.

    A list of names, types and shapes, then the arrays as they lie in memory, a hash of both in front: a
    zip file of `.npy` takes longer to open than a million files to index.
    """
    import xxhash

    arrays = {name: np.ascontiguousarray(value) for name, value in values.items()}
    listed = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    text = json.dumps(listed).encode()
    # Padded, so that the arrays behind it are aligned and can be used where they lie.
    text += b" " * (-(len(text) + _HEAD.size) % 16)
    digest = xxhash.xxh3_64(text)
    for array in arrays.values():
        digest.update(array.reshape(-1).view(np.uint8).data)
    head = _HEAD.pack(MAGIC, digest.intdigest(), len(text))
    write(path, head, text, *(array.reshape(-1).view(np.uint8).data for array in arrays.values()))


def write(path: Path, *parts: bytes | memoryview) -> None:
    """Write bytes aside and rename them into place; never raises for want of space or rights."""
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            for content in parts:
                file.write(content)
    except OSError as error:
        log.warning("cache %s not written: %s", path, error)
