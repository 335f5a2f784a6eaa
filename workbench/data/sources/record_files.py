"""Data sources of one large file: MXNet's RecordIO and TFRecords."""

from __future__ import annotations

import abc
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Union

import numpy as np

from workbench.data import cache, fingerprints
from workbench.data.paths import locate
from workbench.data.sources import broken_records, builtin, encoded, in_memory, recordio, tfrecords
from workbench.data.sources.byte_ranges import Ranges, stamp
from workbench.errors import DataError
from workbench.security.foreign_names import is_count
from workbench.spec.interfaces import Images, Places, Source
from workbench.spec.part import part, setting

Stored = encoded.Encoded  # `encoded` is also the name of a method of the sources
VERSION = 1  # of the cached indexes


@part
class _Records(Source):
    """What both kinds of record files do: an index from the cache or made anew, then byte ranges."""

    identities: Union[int, None] = setting(None, at_least=2, doc="stated number of identities, checked")
    images: Union[int, None] = setting(None, at_least=2, doc="stated number of images, checked")
    broken: Literal["refuse", "skip"] = setting(
        "refuse", doc="images that are not whole: named when they are met, or looked for and left out"
    )
    keep: Literal["auto", "decoded", "encoded", "no"] = setting(
        "auto", place=True, doc="what stays in memory"
    )
    exact: bool = setting(False, place=True, doc="fingerprint of all content, not of a sample")

    def open(self, places: Places) -> Images:
        return encoded.opened(self.encoded(places), self.keep)

    @abc.abstractmethod
    def encoded(self, places: Places) -> Stored:
        """Return the stored images: labels from 0 on, names, and how to read their bytes."""

    def _stored(self, ranges: Ranges, labels: np.ndarray, **facts: Any) -> Stored:
        """Return the images of byte ranges; `facts` are the further fields of `Stored`."""
        digest = hashlib.sha256(np.ascontiguousarray(labels, np.int64).tobytes() + ranges.lengths.tobytes())
        return Stored(
            fetch=ranges.fetch,
            read=ranges.one,
            labels=labels,
            ranged=ranges,
            fingerprint=fingerprints.of_contents(digest, len(labels), self.exact, ranges.one),
            skipping=f"{type(self).__name__}(broken='skip')",
            **facts,
        )

    def _whole(
        self, places: Places, path: Path, kind: str, found: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Return an index without images that are not whole, where that is asked for, and what to say."""
        if self.broken == "refuse":
            return found, ()
        ranges = _rec_ranges(path, found)
        checked = _cached(
            places, path, None, f"{kind}-whole", lambda: {"broken": broken_records.broken(ranges)}
        )
        if not len(checked["broken"]):
            return found, ()
        used, said = broken_records.without(found, checked["broken"])
        return used, (said,)


@part
class RecordIO(_Records):
    """MXNet's `train.rec` with `train.idx`, read directly.

    The index beside the file is used where it is there; a list `train.lst` (key, label, path by tabs)
    gives names. `identities` and `images` are stated numbers, checked.
    """

    path: str = setting(positional=True, doc="the .rec file, below WORKBENCH_DATA or absolute")

    def encoded(self, places: Places) -> Stored:
        path = locate(self.path, places, f"RecordIO({self.path!r})", "a file")
        index = path.with_suffix(".idx")
        beside = index if index.is_file() else None
        found = _cached(places, path, beside, "rec", lambda: vars(recordio.content(path, beside)))
        found, skipped = self._whole(places, path, "rec", found)
        ranges = _rec_ranges(path, found)
        labels, values, notes = in_memory.numbered(found["labels"], path)
        listed = _lst(path.with_suffix(".lst"), found["keys"])
        names = listed or _Keys(found["keys"])
        identities = _identities(values, labels, listed)
        encoded.check_stated(self, path, len(identities), len(labels))
        return self._stored(
            ranges, labels, identities=identities, names=names, where=str(path), notes=(*skipped, *notes)
        )

    def stand_in(self) -> Source:
        return builtin.small_faces(self.hold_out, identities=self.identities)


@part
class TFRecords(_Records):
    """A TFRecord file of images with labels and, where it has them, teacher embeddings."""

    path: str = setting(positional=True, doc="the file, below WORKBENCH_DATA or absolute")
    teacher: Union[int, None] = setting(None, at_least=1, doc="stated size of teacher embeddings, checked")
    image_key: str = setting("image", doc="feature with the encoded image")
    label_key: str = setting("label", doc="feature with the label")
    teacher_key: str = setting("embedding", doc="feature with the teacher embedding")

    def encoded(self, places: Places) -> Stored:
        path = locate(self.path, places, f"TFRecords({self.path!r})", "a file")
        keys = tfrecords.Keys(image=self.image_key, label=self.label_key, teacher=self.teacher_key)
        kind = f"tfrecord-{self.image_key}-{self.label_key}-{self.teacher_key}"
        found = _cached(places, path, None, kind, lambda: _tfrecord_arrays(path, keys))
        found, skipped = self._whole(places, path, kind, found)
        words = json.loads(found["words"].tobytes())
        labels, values, notes = in_memory.numbered(found["labels"], path)
        ranges = Ranges(path, found["offsets"], found["lengths"])
        called = {int(label): name for label, name in words["identities"].items()}
        identities = tuple(called.get(int(value), str(value)) for value in values)
        encoded.check_stated(self, path, len(identities), len(labels))
        teacher, width = _teacher(path, found, words["type"])
        if self.teacher is not None and self.teacher != width:
            raise DataError(
                f"teacher embeddings of {width} numbers" if width else "no teacher embeddings",
                where=path,
                expected=f"{self.teacher} numbers as stated",
            )
        return self._stored(
            ranges,
            labels,
            identities=identities,
            names=words["names"],
            where=str(path),
            notes=(*skipped, *notes),
            teacher=teacher,
            teacher_size=width,
        )

    def stand_in(self) -> Source:
        return builtin.small_faces(self.hold_out, self.teacher, self.identities)


class _Keys(Sequence[str]):
    """Names of records that have none of their own: `record 17`, by key."""

    def __init__(self, keys: np.ndarray) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: Any) -> Any:
        return f"record {self._keys[number]}"


def _cached(places: Places, path: Path, index: Path | None, kind: str, make: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a file's index, from the cache where file and index are unchanged."""
    stamps = np.concatenate([stamp(path), stamp(index) if index else [0, 0], [VERSION]])
    if places.cache is None:
        result: dict[str, np.ndarray] = make()
        return result
    key = hashlib.sha256(f"{kind} {path.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    file = places.cache / f"records-{key}.index"
    found = cache.load_arrays(file)
    if found is not None and np.array_equal(found.get("stamps", np.empty(0)), stamps):
        return found
    made: dict[str, np.ndarray] = make()
    cache.store_arrays(file, {**made, "stamps": stamps})
    return made


def _rec_ranges(path: Path, found: dict[str, np.ndarray]) -> Ranges:
    joined: dict[int, tuple[tuple[int, int], ...]] = {}
    for number, offset, length in found.get("joined", np.empty((0, 3), np.int64)).tolist():
        joined[number] = (*joined.get(number, ()), (offset, length))
    return Ranges(path, found["offsets"], found["lengths"], joined, recordio.GLUE)


def _tfrecord_arrays(path: Path, keys: tfrecords.Keys) -> dict[str, np.ndarray]:
    found = tfrecords.content(path, keys)
    words = {"names": found.names, "identities": found.identities, "type": found.teacher_type}
    return {
        "labels": found.labels,
        "offsets": found.offsets,
        "lengths": found.lengths,
        "teacher_offsets": found.teacher_offsets,
        "teacher_lengths": found.teacher_lengths,
        "words": np.frombuffer(json.dumps(words).encode(), np.uint8),
    }


def _teacher(path: Path, found: dict[str, np.ndarray], kind: str) -> tuple[Any, int | None]:
    if not kind:
        return None, None
    width = int(found["teacher_lengths"][0]) // np.dtype(kind).itemsize
    ranges = Ranges(path, found["teacher_offsets"], found["teacher_lengths"])
    return (lambda numbers: ranges.vectors(numbers, kind, width)), width


def _lst(path: Path, keys: np.ndarray) -> list[str] | None:
    """Return the path of each record from a `.lst` beside the file, or None where there is none."""
    if not path.is_file():
        return None
    named: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text", where=path, expected="key TAB label TAB path") from error
    for number, line in enumerate(lines, start=1):
        words = line.split("\t")
        if len(words) < 3 or not is_count(words[0]):
            raise DataError(
                "is not a line of a list", where=f"{path}:{number}", expected="key TAB label TAB path"
            )
        named[int(words[0])] = words[-1]
    missing = [int(key) for key in keys if int(key) not in named]
    if missing:
        raise DataError(
            f"does not name record {missing[0]}", where=path, do="take the list that came with the file"
        )
    return [named[int(key)] for key in keys]


def _identities(values: np.ndarray, labels: np.ndarray, listed: list[str] | None) -> tuple[str, ...]:
    """Return the names of the labels: the folder of their first image in a list, else the number."""
    if listed is None:
        return tuple(str(value) for value in values)
    first = np.unique(labels, return_index=True)[1]
    return tuple(listed[number].rpartition("/")[0] or str(value) for number, value in zip(first, values))
