"""Byte ranges of one large file, read many at a time: what record files come down to.

TensorFlow has no operation that reads a part of a file at an offset. One call of Python for a whole
batch costs a few microseconds an image, against hundreds for decoding it, and `pread` gives up the
interpreter's lock while the disk works.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workbench.errors import DataError
from workbench.lazy import tf


@dataclass(frozen=True)
class Ranges:
    """N byte ranges of a file; `joined` lists the parts of the few that lie in several places.

    Parts are joined with `glue` between them (RecordIO splits a record where its magic number occurs).
    """

    path: Path
    offsets: np.ndarray  # int64 [N]
    lengths: np.ndarray  # int64 [N]
    joined: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    glue: bytes = b""

    def read(self, numbers: np.ndarray) -> list[bytes]:
        """Return the bytes of each range; raises `DataError` where the file has become shorter."""
        handle = self._handle()
        result = []
        for number in np.ravel(numbers).tolist():
            parts = self.joined.get(number) or ((int(self.offsets[number]), int(self.lengths[number])),)
            content = [os.pread(handle, length, offset) for offset, length in parts]
            if [len(piece) for piece in content] != [length for _, length in parts]:
                raise DataError("has become shorter while it was read", where=self.path, do="start again")
            result.append(self.glue.join(content))
        return result

    def one(self, number: int) -> bytes:
        """Return the bytes of one range."""
        return self.read(np.array([number]))[0]

    def _handle(self) -> int:
        handle = _HANDLES.get((os.getpid(), self.path))
        if handle is None:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            _HANDLES[os.getpid(), self.path] = handle
        return handle

    def fetch(self, numbers: tf.Tensor) -> tf.Tensor:
        """Return the bytes of record `numbers` (int64, any shape) inside the graph, as texts."""
        content = tf.numpy_function(self._texts, [numbers], tf.string, stateful=False)
        return tf.ensure_shape(content, numbers.shape)

    def _texts(self, numbers: np.ndarray) -> np.ndarray:
        result = np.empty(np.size(numbers), object)
        result[:] = self.read(numbers)
        return result.reshape(np.shape(numbers))

    def vectors(self, numbers: tf.Tensor, dtype: str, width: int) -> tf.Tensor:
        """Return float32 rows [..., width] stored as `dtype` ("<f2" or "<f4") in the ranges."""

        def rows(wanted: np.ndarray) -> np.ndarray:
            flat = np.frombuffer(b"".join(self.read(wanted)), dtype).astype(np.float32)
            return flat.reshape(*np.shape(wanted), width)

        result = tf.numpy_function(rows, [numbers], tf.float32, stateful=False)
        return tf.ensure_shape(result, [*numbers.shape, width])


_HANDLES: dict[tuple[int, Path], int] = {}  # one open file a path and process, for the life of the process


def stamp(path: Path) -> np.ndarray:
    """Return what tells whether a file is still the one that was indexed: size and time of change."""
    status = path.stat()
    return np.array([status.st_size, status.st_mtime_ns], np.int64)
