"""Reads a `.npz` file that someone else made: plain arrays by name, no objects, no more than memory holds.

The one place that opens them: scores in a record, embeddings, images. An archive may be cut, claim any shape, hold
pickled objects, or a thousand times its own size in zeros.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from workbench.errors import DataError, InputError, suggestion
from workbench.security.foreign_files import opened
from workbench.security.free_memory import available_bytes, gigabytes

READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
BROKEN = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    AttributeError,  # an `.npy` under the name of an archive
    MemoryError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
)


def load(
    path: Path,
    wanted: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    *,
    every: bool = False,
    error: type[InputError] = DataError,
) -> dict[str, np.ndarray]:
    """Return named arrays of a `.npz`: those `wanted`, the `optional` ones that are there, or `every` one.

    Raises `error` for damage, objects, a missing array, or more than memory can hold.
    """
    try:
        with opened(path) as stream:
            _refuse_bombs(stream, path, error)
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                for key in wanted:
                    if key not in file.files:
                        raise error(f"has no array {key!r}", where=path, do=suggestion(key, file.files))
                names = file.files if every else [key for key in (*wanted, *optional) if key in file.files]
                return {key: _whole(file, key) for key in names}
    except InputError:
        raise
    except BROKEN as fault:
        words = str(fault)
        reason = "holds Python objects" if "allow_pickle" in words or "Object" in words else "is damaged"
        raise error(
            f"{reason}, or is not a .npz", where=path, expected="plain arrays written by np.savez"
        ) from fault


def _whole(file: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    """Return one array; raises `ValueError` where it states more values than its part of the archive holds."""
    # NumPy takes the memory for the stated shape before it reads the first value, so a damaged header of half a
    # kilobyte could take all there is.
    assert file.zip is not None
    member = file.zip.getinfo(f"{key}.npy")
    with file.zip.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in READ_HEADER:  # structured types with names beyond Latin-1: nothing here writes them
            raise ValueError(f"version {version}")
        shape, _, kind = READ_HEADER[version](stream)
        if not kind.hasobject and math.prod(shape) * kind.itemsize > member.file_size - stream.tell():
            raise ValueError("cut short")
    array: np.ndarray = file[key]
    return array


def _refuse_bombs(stream: object, path: Path, error: type[InputError]) -> None:
    """Refuse an archive whose content is a thousand times its size, or more than there is memory for."""
    with zipfile.ZipFile(stream) as archive:  # type: ignore[call-overload]
        size = max(1, sum(info.compress_size for info in archive.infolist()))
        stated = sum(info.file_size for info in archive.infolist())
    if stated > 1000 * size + 2**20:
        raise error("states a content far beyond its size", where=path, expected="a real .npz")
    if stated > (free := available_bytes()):
        raise error(f"holds {gigabytes(stated)} of arrays, {gigabytes(free)} of memory are free", where=path)
