"""TFRecord files of images: what lies where in them, and writing them.

A file is a row of records: length (uint64), a checksum of the length, the content, a checksum of the
content; the content is a `tf.train.Example`. TensorFlow's own reader walks over the file once, checks
every checksum and gives the contents; the places of image and teacher embedding follow from their
lengths, and from then on they are read directly, in any order.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import DataError, suggestion
from workbench.lazy import tf

BEFORE, AFTER = 12, 4  # bytes of a record before and after its content


@dataclass(frozen=True)
class Keys:
    """The names of the features; `name` and `identity` may be missing in a file."""

    image: str = "image"
    label: str = "label"
    teacher: str = "embedding"
    name: str = "name"
    identity: str = "identity"


@dataclass(frozen=True)
class Content:
    """The images of a file: byte ranges, labels, names; `teacher` ranges where there are embeddings."""

    labels: np.ndarray  # int64 [N], as written
    offsets: np.ndarray  # int64 [N]
    lengths: np.ndarray  # int64 [N]
    names: list[str]
    identities: dict[int, str]
    teacher_offsets: np.ndarray  # int64 [N] or empty
    teacher_lengths: np.ndarray  # int64 [N] or empty
    teacher_type: str  # "<f2" or "<f4"


def content(path: Path, keys: Keys) -> Content:
    """Walk over a file; raises `DataError` naming the first record that is damaged or lacks a feature."""
    images, teachers = array("q"), array("q")  # label, offset, length of each; and offset, length
    names: list[str] = []
    identities: dict[int, str] = {}
    kinds: set[str] = set()
    position, number = 0, 0
    try:
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            where = f"{path}: record {number}"
            at = position + BEFORE
            record = _parsed(serialized, keys, where)
            images.extend((record.label, at + record.offset, record.length))
            if record.teacher is not None:
                offset, length, kind = record.teacher
                teachers.extend((at + offset, length))
                kinds.add(kind)
            names.append(record.name or f"record {number}")
            known = identities.setdefault(record.label, record.identity) if record.identity else ""
            if known != record.identity:
                raise DataError(
                    f"calls label {record.label} {record.identity!r}, before it was {known!r}", where=where
                )
            position += BEFORE + len(serialized) + AFTER
            number += 1
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise DataError(
            f"is damaged or ends in the middle of record {number} (byte {position})",
            where=path,
            expected="whole TFRecords with right checksums",
        ) from error
    if number == 0 or position != path.stat().st_size:
        what = "holds no records" if number == 0 else f"has bytes behind its last record (byte {position})"
        raise DataError(what, where=path, expected="TFRecords of images")
    found = np.array(images, np.int64).reshape(-1, 3).T
    taught = np.array(teachers, np.int64).reshape(-1, 2).T
    if len(kinds) > 1 or len(np.unique(taught[1])) > 1 or 0 < len(taught[0]) < number:
        raise DataError(
            f"teacher embeddings {keys.teacher!r} of different sizes, or in some records only", where=path
        )
    labels, offsets, lengths = (np.ascontiguousarray(column) for column in found)
    return Content(labels, offsets, lengths, names, identities, taught[0], taught[1], "".join(kinds))


class _Record(NamedTuple):
    """What one record holds; offsets count from the start of its content."""

    label: int
    offset: int  # of the image
    length: int
    teacher: tuple[int, int, str] | None  # offset, length and type of the embedding
    name: str
    identity: str


def _parsed(serialized: bytes, keys: Keys, where: str) -> _Record:
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise DataError("is not a tf.train.Example", where=where) from error
    for key in (keys.image, keys.label):
        if key not in features:
            raise DataError(f"has no feature {key!r}", where=where, do=suggestion(key, features.keys()))
    images, labels = features[keys.image].bytes_list.value, features[keys.label].int64_list.value
    if len(images) != 1 or len(labels) != 1 or not images[0]:
        raise DataError(
            "holds no image with a label",
            where=where,
            expected=f"one text of bytes in {keys.image!r} and one whole number in {keys.label!r}",
        )
    if not -(2**31) <= labels[0] < 2**31:
        raise DataError(f"has the label {labels[0]}", where=where, expected="a 32-bit number")
    return _Record(
        labels[0],
        # Protobuf keeps bytes as they are, so where they are found is where they lie.
        serialized.find(images[0]),
        len(images[0]),
        _taught(features, keys.teacher, serialized, where),
        _text(features, keys.name),
        _text(features, keys.identity),
    )


def _text(features: Any, key: str) -> str:
    values = features[key].bytes_list.value if key in features else ()
    return values[0].decode("utf-8", "replace") if values else ""


def _taught(features: Any, key: str, serialized: bytes, where: str) -> tuple[int, int, str] | None:
    """Return (offset, length, type) of the teacher embedding: float16 bytes or a list of floats."""
    if key not in features:
        return None
    raw = features[key].bytes_list.value
    if len(raw) == 1 and raw[0] and len(raw[0]) % 2 == 0:
        packed, kind = raw[0], "<f2"
    else:
        packed, kind = np.array(features[key].float_list.value, "<f4").tobytes(), "<f4"
    at = serialized.find(packed) if packed else -1
    if at < 0:
        raise DataError(
            f"has no embedding in {key!r}", where=where, expected="float16 bytes or a list of floats"
        )
    return at, len(packed), kind


def write(
    path: Path, rows: Iterable[tuple[int, str, str, bytes, np.ndarray | None]], keys: Keys | None = None
) -> int:
    """Write (label, identity, name, encoded image, teacher vector or None) and return their number.

    A float16 vector is written as bytes, a float32 one as a list of floats.
    """
    keys = keys or Keys()
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for label, identity, name, image, teacher in rows:
            features = {
                keys.image: _bytes(image),
                keys.label: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                keys.identity: _bytes(identity.encode("utf-8", "replace")),
                keys.name: _bytes(name.encode("utf-8", "replace")),
            }
            if teacher is not None and teacher.dtype == np.float16:
                features[keys.teacher] = _bytes(teacher.astype("<f2").tobytes())
            elif teacher is not None:
                features[keys.teacher] = tf.train.Feature(
                    float_list=tf.train.FloatList(value=teacher.tolist())
                )
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
            count += 1
    return count


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
