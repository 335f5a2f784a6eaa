"""Model files of the newer TensorFlow's Keras 2 (`tf_keras`), made readable for Keras 2.15.

Both are one Keras; the newer one calls its package otherwise and writes a setting that the older does not know. The
older files need nothing: `tf_keras` reads them.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.lazy import KERAS_2, keras_package
from workbench.security.foreign_files import read_file

CONFIGURATION = "config.json"  # of a .keras file, which is a zip archive
ATTRIBUTE = "model_config"  # of an HDF5 file


@contextlib.contextmanager
def readable(path: Path, configuration: Any) -> Iterator[Path]:
    """Yield `path`, or for as long as the block lasts a copy whose configuration the Keras here knows."""
    mine = configuration if keras_package() == KERAS_2 else older(configuration)
    if mine == configuration:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        (_copy_archive if zipfile.is_zipfile(path) else _copy_hdf5)(path, copy, json.dumps(mine))
        yield copy


def older(value: Any) -> Any:
    """Return a configuration in the words of Keras 2.15.

    `optional` says of an input that it may be left out. Where it may, the older Keras has no word for it, and says so.
    """
    if isinstance(value, list):
        return [older(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: older(item) for name, item in value.items()}
    module, settings = found.get("module"), found.get("config")
    if isinstance(module, str) and module.split(".")[0] == KERAS_2:
        found["module"] = "keras" + module.removeprefix(KERAS_2)
    if (
        found.get("class_name") == "InputLayer"
        and isinstance(settings, dict)
        and settings.get("optional") is False
    ):
        del settings["optional"]
    return found


def _copy_archive(path: Path, copy: Path, text: str) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for item in old.infolist():
            new.writestr(item, text if item.filename == CONFIGURATION else old.read(item))


def _copy_hdf5(path: Path, copy: Path, text: str) -> None:
    import h5py

    copy.write_bytes(read_file(path))
    with h5py.File(copy, "r+") as file:
        file.attrs[ATTRIBUTE] = text
