"""Arrays that can be made again, kept under `mlruns/cache/` so that they need not be.

A cache file is the array as `.npy` (no objects) with a CRC32 of its bytes in front: a file cut short
or changed is made anew, never believed. It is written aside and renamed, so that two processes that
make the same one at the same moment do no harm.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench.families import Places

log = logging.getLogger(__name__)


def array(places: Places, name: str, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the cached array `name` of this shape, or make it and keep it where there is a cache."""
    if places.cache is None:
        return make()
    path = places.cache / f"{name}.array"
    found = load(path)
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
    """Return the named arrays in a cache file, or None where it is missing, damaged or of another kind."""
    content = _checked(path)
    if content is None:
        return None
    try:
        with np.load(content, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError):
        return None


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
    """Write several named arrays into one cache file."""
    buffer = io.BytesIO()
    np.savez(buffer, **values)  # type: ignore[arg-type]
    write(path, struct.pack("<I", zlib.crc32(buffer.getbuffer())), buffer.getbuffer())


def write(path: Path, *parts: bytes | memoryview) -> None:
    """Write bytes aside and rename them into place; never raises for want of space or rights."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            for content in parts:
                file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        log.warning("cache %s not written: %s", path, error)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
