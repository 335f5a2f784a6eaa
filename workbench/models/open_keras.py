"""Opening a Keras file that was looked into: within bounds of memory, with our own layers, damage named in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import DataError
from workbench.files import size_of
from workbench.lazy import tf
from workbench.models import newer_keras
from workbench.models.backbones import custom_objects
from workbench.security import model_files
from workbench.security.children import bounded_memory, model_memory

# What Keras, h5py and zipfile raise for damaged files: whatever the wrong number that they met led to.
DAMAGED = (
    *(OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, ImportError),
    *(RecursionError, AssertionError, NotImplementedError),
)


def open_keras(path: Path, trust_code: bool = False) -> tf.keras.Model:
    """Return the model of a file that was looked into; raises `DataError` for a damaged one, or `MemoryError`."""
    options: dict[str, Any] = {"compile": False, "custom_objects": custom_objects.layers()}
    if path.suffix == ".keras":
        options["safe_mode"] = not trust_code
    found = model_files.configurations(path) if path.is_file() else []
    # A file may be both, an archive behind HDF5: Keras goes by the ending, and so must what is made of it here.
    configuration = (found[-1] if path.suffix == ".keras" else found[0]) if found else None
    try:
        with newer_keras.readable(path, configuration) as file, bounded_memory(model_memory(size_of(path))):
            return tf.keras.models.load_model(file, **options)
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(str(error)) from error
    except (*DAMAGED, tf.errors.OpError) as error:
        words = " ".join(str(error).split())[:300]
        raise DataError(f"cannot be read: {words}", where=path, expected="a saved Keras model") from error
