"""Opening a Keras file that was looked into: within bounds of memory, with our own layers, damage named in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import DataError
from workbench.lazy import tf
from workbench.models import newer_keras
from workbench.models.backbones import custom_objects
from workbench.security import model_files
from workbench.security.children import bounded_memory

MEMORY = 4 << 30  # bytes that opening a file may take, or sixteen times its size


def open_keras(path: Path, trust_code: bool = False) -> tf.keras.Model:
    """Return the model of a file that was looked into; raises `DataError` for a damaged one, or `MemoryError`."""
    options: dict[str, Any] = {"compile": False, "custom_objects": custom_objects.layers()}
    if path.suffix == ".keras":
        options["safe_mode"] = not trust_code
    found = model_files.configurations(path) if path.is_file() else []
    configuration = (found[-1] if path.suffix == ".keras" else found[0]) if found else None
    errors = (
        OSError,
        ValueError,
        AttributeError,
        TypeError,
        KeyError,
        ImportError,
        IndexError,
        ArithmeticError,
    )
    try:
        with newer_keras.readable(path, configuration) as file, bounded_memory(max(MEMORY, 16 * _size(path))):
            return tf.keras.models.load_model(file, **options)
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(str(error)) from error
    except (*errors, RecursionError, AssertionError, NotImplementedError, tf.errors.OpError) as error:
        words = " ".join(str(error).split())[:300]
        raise DataError(f"cannot be read: {words}", where=path, expected="a saved Keras model") from error


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files)  # a link may lead nowhere, or in a circle
