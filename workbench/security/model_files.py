"""What a model file is, by its content as its loader sees it, and what in it leads elsewhere.

Keras takes a file for HDF5 or for an archive by what is in it, whatever its name: an `.h5` with an archive behind
it is HDF5, a file without an ending may be. So both are looked for in every file, and both are judged. HDF5 can
name other files of this machine as a part of itself; a file that does is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import DataError
from workbench.security.foreign_files import is_inside, read_file
from workbench.security.foreign_names import is_inner

CONFIG = "config.json"
LONGEST_CONFIG = 64_000_000  # bytes; that of a network of a thousand layers has one
LARGEST_SIZE = 100_000_000  # of a layer, a shape or a kernel: what no network has
KERAS_ENDINGS = (".keras", ".h5", ".hdf5", ".hdf")
SIZES = (
    "units",
    "filters",
    "input_dim",
    "output_dim",
    "batch_input_shape",
    "batch_shape",
    "shape",
    "target_shape",
    "kernel_size",
    "pool_size",
    "n",
    "size",
    "num_heads",
    "key_dim",
)
BROKEN = (
    OSError,
    ValueError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    EOFError,
)


def configurations(path: Path) -> list[Any]:
    """Return what a file tells of its layers: as HDF5 and as an archive, where it is that; none for another file.

    Raises `DataError` for one that names itself a Keras model and is none, is damaged, leads to other files, or
    asks for layers of an impossible size.
    """
    try:
        found = [*_of_hdf5(path), *_of_archive(path)]
    except RecursionError as error:
        raise DataError("is nested too deeply", where=path, expected="a saved Keras model") from error
    except BROKEN as error:
        words = " ".join(str(error).split())[:300]
        raise DataError(
            f"cannot be read: is not a Keras model ({words})", where=path, expected="a saved Keras model"
        ) from error
    for value in found:
        _refuse_absurd(value, path)
    return found


def _of_hdf5(path: Path) -> Iterator[Any]:
    import h5py

    if not h5py.is_hdf5(path):
        if path.suffix in KERAS_ENDINGS and not zipfile.is_zipfile(path):
            raise ValueError("neither HDF5 nor an archive")
        return
    with h5py.File(path, "r") as file:
        _refuse_elsewhere(file, path)
        text = file.attrs.get("model_config")
    if text is not None:
        yield json.loads(text)


def _of_archive(path: Path) -> Iterator[Any]:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if CONFIG not in names and path.suffix != ".keras":
            return  # saved embeddings, for one
        # Looked up before it is read: an archive of kilobytes may hold gigabytes of one letter.
        if archive.getinfo(CONFIG).file_size > LONGEST_CONFIG:
            raise ValueError(f"its {CONFIG} is larger than any network's")
        if path.suffix == ".keras" and (bad := archive.testzip()):
            raise ValueError(f"its part {bad} is damaged")
        for name in names:
            if name.endswith(".h5"):
                _look_within(archive, name, path)
        yield json.loads(archive.read(CONFIG))


def _look_within(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    import h5py

    stored = archive.getinfo(name).compress_type == zipfile.ZIP_STORED
    with archive.open(name) as part, h5py.File(part if stored else io.BytesIO(part.read()), "r") as file:
        _refuse_elsewhere(file, path)


def _refuse_elsewhere(file: Any, path: Path) -> None:
    """Refuse HDF5 of which a part lies in another file: opening it would read that one."""
    import h5py

    todo = [file]
    while todo:
        group = todo.pop()
        for name in group:
            kind = group.get(name, getlink=True)
            if isinstance(kind, h5py.ExternalLink):
                raise DataError(
                    f"leads to another file, {kind.filename!r}", where=path, do="nothing was opened"
                )
            if isinstance(kind, h5py.SoftLink):
                continue  # what it names within the file is met on the way to it
            inner = group.get(name)
            if isinstance(inner, h5py.Group):
                todo.append(inner)
            elif isinstance(inner, h5py.Dataset) and (inner.external or inner.is_virtual):
                raise DataError(f"keeps {name!r} in another file", where=path, do="nothing was opened")


def _refuse_absurd(value: Any, path: Path) -> None:
    todo = [("", value)]
    while todo:
        name, item = todo.pop()
        if isinstance(item, dict):
            todo += [(str(key), inner) for key, inner in item.items()]
        elif isinstance(item, list):
            todo += [(name, inner) for inner in item]
        elif name in SIZES and type(item) in (int, float) and abs(item) > LARGEST_SIZE:
            raise DataError(f"asks for {name} = {item:g}", where=path, expected=f"at most {LARGEST_SIZE:,}")


def is_keras(path: Path) -> bool:
    """Tell a file that a reader of HDF5 would meet: one by its mark, an archive with a model, or one that says so."""
    with path.open("rb") as file:
        at, size = 0, path.stat().st_size
        while at < size:  # HDF5 may begin after a block of 512 bytes, 1,024, 2,048 ...
            file.seek(at)
            if file.read(8) == b"\x89HDF\r\n\x1a\n":
                return True
            at = max(512, 2 * at)
    if path.suffix in KERAS_ENDINGS:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return CONFIG in archive.namelist()
    except BROKEN:
        return False


# An entry of ONNX's `external_data`: the key `location`, then tag and length of the value.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x00-\xff]{1,2})", re.DOTALL)


def refuse_other_files(path: Path) -> None:
    """Refuse an ONNX model whose weights lie elsewhere than in plain files beside it.

    What a field of the format says is read off the bytes: opening the model would read those files already.
    """
    content = read_file(path)
    for found in _LOCATION.finditer(content):
        low, high = found[1][0], found[1][1:2]
        long = low >= 128 and bool(high)  # a length of more than 127 bytes takes two
        size = (low & 127) | (high[0] << 7 if long else 0)
        begin = found.start(1) + 1 + long
        name = content[begin : begin + size].decode("utf-8", "replace")
        if not is_inner(name) or not is_inside(path.parent, name):
            raise DataError(
                f"keeps weights in another file, {name!r}",
                where=path,
                expected="weights in it or in plain files beside it",
                do="nothing was opened",
            )


def is_tflite(path: Path) -> bool:
    """Tell a TFLite file by its mark, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"TFL3"
