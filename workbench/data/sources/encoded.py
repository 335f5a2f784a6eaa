"""Images that are stored encoded (JPEG, PNG) to an opened source: read at each use, or kept in memory.

A small set is decoded once and kept (a gather is fifty times quicker than a decoder); a large one is
read and decoded at each use, by as many threads as the machine has cores.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.data import decode
from workbench.data.sources.byte_ranges import Ranges
from workbench.data.sources.in_memory import Memory
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.spec.interfaces import Images, Source

SMALL = 256 * 2**20  # bytes of decoded pixels up to which `keep="auto"` decodes a set once


@dataclass(frozen=True)
class Encoded:
    """N encoded images: `fetch` is a graph function from a record number (int64) to its bytes.

    `read` gives the same bytes outside of graphs. With `ranged`, `fetch` and `teacher` take any shape of numbers.
    `place` and `load` are the two halves of a `fetch` whose first half is cheaper for a whole batch: numbers of
    any shape to texts (paths), and one text to the bytes.
    """

    fetch: Callable[[Any], Any]
    read: Callable[[int], bytes]
    labels: np.ndarray
    identities: tuple[str, ...]
    names: Sequence[str]
    fingerprint: str
    where: str
    teacher: Callable[[Any], Any] | None = None
    teacher_size: int | None = None
    notes: tuple[str, ...] = ()
    ranged: Ranges | None = None  # for record files: many records are read at once
    place: Callable[[Any], Any] | None = None
    load: Callable[[Any], Any] | None = None
    skipping: str = ""  # the source's own words for leaving out images that are broken, where it has them


def check_stated(source: Source, where: Any, identities: int, images: int) -> None:
    """Raise `DataError` where a source states other numbers of identities or images than it has."""
    stated = source.settings()
    for word, came in (("identities", identities), ("images", images)):
        if stated[word] is not None and stated[word] != came:
            raise DataError(
                f"{came} {word}",
                where=where,
                expected=f"{stated[word]} as stated",
                do=f"complete the data or correct {word}=",
            )


def opened(stored: Encoded, keep: str) -> Images:
    """Return `Images` that are decoded at each use or kept in memory, as the setting `keep` says."""
    count = len(stored.labels)
    memory = Memory(lambda size: decoded(stored, size))
    held = functools.lru_cache(maxsize=1)(lambda: _held(stored))

    def in_memory(size: int) -> bool:
        return keep == "decoded" or (keep == "auto" and count * size * size * 3 <= SMALL)

    def reader(size: int) -> Callable[[Any], Any]:
        if in_memory(size):
            return memory.reader(size)
        fetch = held() if keep == "encoded" else stored.fetch
        return lambda number: decode.fit(decode.decode(fetch(number)), size)

    def raw(numbers: Any) -> Any:
        if keep == "encoded":
            return held()(numbers)
        return stored.fetch(numbers) if stored.place is None else stored.place(numbers)

    def decoder(size: int) -> Callable[[Any], Any]:
        load = stored.load if stored.load is not None and keep != "encoded" else lambda content: content
        return lambda content: decode.fit(decode.decode(load(content)), size)

    return Images(
        labels=stored.labels,
        identities=stored.identities,
        names=stored.names,
        reader=reader,
        fingerprint=stored.fingerprint,
        teacher=stored.teacher,
        teacher_size=stored.teacher_size,
        raw=raw if keep == "encoded" or stored.ranged is not None or stored.place is not None else None,
        decode=decoder,
        blame=lambda numbers: blame(stored, numbers),
        batches=lambda size: memory.batches(size) if in_memory(size) else None,
        notes=stored.notes,
    )


def decoded(stored: Encoded, size: int, first: int = 0, count: int | None = None) -> np.ndarray:
    """Return images, all or `count` from `first` on, as uint8 [n, size, size, 3]; raises `DataError` naming a broken one."""
    last = len(stored.labels) if count is None else min(first + count, len(stored.labels))

    @tf.autograph.experimental.do_not_convert
    def read(number: Any) -> Any:
        return decode.fit(decode.decode(stored.fetch(number)), size)

    rows = tf.data.Dataset.range(first, last).map(read, num_parallel_calls=os.cpu_count() or 1)
    return decode.gathered(rows, last - first, size, lambda done: blame(stored, range(first + done, last)))


def blame(stored: Encoded, numbers: Sequence[int]) -> DataError | None:
    """Return the error that names the first broken image among `numbers`, or None where all are sound."""
    do = f"replace it; {stored.skipping} leaves it out" if stored.skipping else "replace it"
    return decode.first_broken(
        numbers, lambda number: stored.fetch(tf.constant(number, tf.int64)), stored.names, stored.where, do
    )


def _held(stored: Encoded) -> Callable[[Any], Any]:
    fetch = tf.autograph.experimental.do_not_convert(stored.fetch)
    rows = tf.data.Dataset.range(len(stored.labels)).map(fetch, num_parallel_calls=os.cpu_count() or 1)
    content = np.array(list(rows.as_numpy_iterator()), object)
    with tf.init_scope(), tf.device("CPU:0"):
        tensor = tf.constant(content, tf.string)
    return lambda numbers: tf.gather(tensor, numbers)
