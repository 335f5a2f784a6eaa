"""Images that lie decoded in memory: the quickest source, and what small folders become."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from workbench.data import decode
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.spec.interfaces import Images


class Memory:
    """Readers over one uint8 array per asked size; `load(size)` gives [N, size, size, 3]."""

    def __init__(self, load: Callable[[int], np.ndarray]) -> None:
        self._tensor = functools.lru_cache(maxsize=4)(lambda size: _on_cpu(load(size)))

    def reader(self, size: int) -> Callable[[Any], Any]:
        pixels = self._tensor(size)
        return lambda number: pixels[number]

    def batches(self, size: int) -> Callable[[Any], Any]:
        pixels = self._tensor(size)
        return lambda numbers: tf.gather(pixels, numbers)


def _on_cpu(array: np.ndarray) -> tf.Tensor:
    with tf.init_scope(), tf.device("CPU:0"):  # a data set belongs beside the reading threads, not on the GPU
        return tf.constant(array)


def rows(table: np.ndarray) -> Callable[[Any], Any]:
    """Return a graph function from record numbers (any shape) to rows of `table` (teacher embeddings)."""
    tensor = functools.lru_cache(maxsize=1)(lambda: _on_cpu(table))
    return lambda number: tf.gather(tensor(), number)


class Numbered(NamedTuple):
    """Labels as training has them, 0 to C - 1, and what they were."""

    labels: np.ndarray  # int32 [N]
    values: np.ndarray  # [C] as written, ascending
    notes: tuple[str, ...]  # that there were holes


def numbered(written: np.ndarray, where: Any = None) -> Numbered:
    """Return labels (numbers or texts, [N]) counted from 0 without holes; raises `DataError` for fewer than two."""
    values, labels = np.unique(written, return_inverse=True)
    if len(values) < 2:
        people = "1 identity" if len(values) else "0 identities"
        raise DataError(f"{len(labels)} images of {people}", where=where, expected="at least two identities")
    holes = int(values[-1] - values[0] + 1 - len(values)) if values.dtype.kind in "iu" else 0
    note = f"{holes} labels between {values[0]} and {values[-1]} do not occur; numbered without holes"
    return Numbered(labels.astype(np.int32), values, (note,) if holes else ())


def check_pixels(pixels: np.ndarray, where: Any) -> None:
    """Raise `DataError` for arrays that are not images of 0 to 255, grey or in colour."""
    right = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] in (1, 3))
    if pixels.dtype != np.uint8 or not right or not pixels.size:
        raise DataError(
            f"images are {pixels.dtype} {list(pixels.shape)}",
            where=where,
            expected="uint8 [N, h, w] or [N, h, w, 3]",
        )


def from_array(
    pixels: np.ndarray,
    labels: np.ndarray,
    identities: Sequence[str],
    names: Sequence[str],
    fingerprint: str | None = None,
    teacher: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> Images:
    """Return `Images` over uint8 [N, h, w] or [N, h, w, 3], resized once for each asked size."""
    memory = Memory(lambda size: decode.fit_all(pixels, size))
    return Images(
        labels=np.asarray(labels, np.int32),
        identities=tuple(identities),
        names=names,
        reader=memory.reader,
        fingerprint=fingerprint or array_fingerprint(pixels, labels),
        teacher=None if teacher is None else rows(teacher),
        teacher_size=None if teacher is None else teacher.shape[1],
        batches=memory.batches,
        notes=notes,
        side=pixels.shape[1] if pixels.shape[1] == pixels.shape[2] else None,
    )


def array_fingerprint(pixels: np.ndarray, labels: np.ndarray) -> str:
    """Return 16 hex digits over every pixel and label."""
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    digest.update(np.ascontiguousarray(labels, np.int64).data)
    return digest.hexdigest()[:16]
