"""MXNet's RecordIO without MXNet: the form in which most face data sets are downloaded.

A file is a row of parts: the magic number 0xced7230a, a word whose upper 3 bits say what the part is
(0 a whole record, 1 its first, 2 a middle, 3 its last part) and whose lower 29 bits its length, the
content, and padding to a multiple of 4. A record that holds the magic number at a multiple of 4 is
split there, the number left out. An image record begins with flag (uint32), label (float32), id and
id2 (uint64), and `flag` further float32 labels where flag > 0; the encoded image follows. The index
(`.idx`) is text, `key TAB offset` a line. Face sets keep in record 0 a pair (a, b): records 1 to a - 1
are images, records a to b - 1 give each identity's range of images.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import DataError

MAGIC = 0xCED7230A
GLUE = struct.pack("<I", MAGIC)
HEADER = struct.Struct("<IfQQ")
LIMIT = 2**29 - 1  # bytes of one part


@dataclass(frozen=True)
class Records:
    """The parts of a record file: record r is parts `first[r]` up to `first[r + 1]`."""

    offsets: np.ndarray  # int64 [P], where a part's content begins
    lengths: np.ndarray  # int64 [P]
    first: np.ndarray  # int64 [R + 1]
    starts: np.ndarray  # int64 [R], where the record begins in the file


@dataclass(frozen=True)
class Content:
    """The images of a record file: byte ranges of the encoded images, their labels and keys."""

    keys: np.ndarray  # int64 [N]
    labels: np.ndarray  # int64 [N], as written
    offsets: np.ndarray  # int64 [N]
    lengths: np.ndarray  # int64 [N]
    joined: np.ndarray  # int64 [J, 3], the parts of images that lie in several places: image, offset, length


def scan(path: Path) -> Records:
    """Walk over a record file; raises `DataError` naming the byte where it is not what it should be."""
    size = path.stat().st_size
    if size == 0:
        raise DataError("is empty", where=path, expected="RecordIO")
    offsets, lengths, first, starts = (array("q", begin) for begin in ([], [], [0], []))
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position, inside = 0, False
        while position < size:
            if position + 8 > size:
                raise _cut(path, position, len(starts))
            magic, word = struct.unpack_from("<II", content, position)
            kind, length = word >> 29, word & LIMIT
            if magic != MAGIC or kind not in ((2, 3) if inside else (0, 1)):
                raise DataError(f"is not a RecordIO at byte {position} (record {len(starts)})", where=path)
            if position + 8 + length > size:
                raise _cut(path, position, len(starts))
            if not inside:
                starts.append(position)
            offsets.append(position + 8)
            lengths.append(length)
            inside = kind in (1, 2)
            if not inside:
                first.append(len(offsets))
            position += 8 + (length + 3 & ~3)
    if inside:
        raise _cut(path, size, len(starts) - 1)
    return Records(*(np.array(values, np.int64) for values in (offsets, lengths, first, starts)))


def _cut(path: Path, position: int, record: int) -> DataError:
    return DataError(
        f"ends in the middle of record {record} (byte {position})",
        where=path,
        expected="whole records",
        do="copy or download it again",
    )


def read_index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and offsets of an `.idx` file, both int64, in the order of the file."""
    keys, offsets = [], []
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise DataError("is not an index", where=path, expected="key TAB offset a line") from error
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isdigit() and len(word) < 19 for word in words):
            raise DataError("is not a line of an index", where=f"{path}:{number}", expected="key TAB offset")
        keys.append(int(words[0]))
        offsets.append(int(words[1]))
    return np.array(keys, np.int64), np.array(offsets, np.int64)


def content(path: Path, index: Path | None = None) -> Content:
    """Return the images of a record file; keys come from the index, or number the records.

    Raises `DataError` for a damaged file, an index that does not match it, or a record without label.
    """
    records = scan(path)
    keys = np.arange(len(records.starts)) if index is None else _matched(path, index, records)
    heads = _heads(path, records)
    images = np.ones(len(keys), bool)
    zero = np.flatnonzero(keys == 0)
    if len(zero) and heads.empty[zero[0]] and heads.flags[zero[0]] >= 2:
        begin, end = (int(value) for value in heads.pairs[zero[0]])
        images = (keys >= 1) & (keys < begin)
        _check_ranges(path, keys, heads, begin, end)
    chosen = np.flatnonzero(images)
    if not len(chosen):
        raise DataError("holds no images", where=path, expected="image records")
    labels = heads.labels[chosen]
    bad = np.flatnonzero(~np.isfinite(labels) | (labels != np.floor(labels)) | (np.abs(labels) >= 2**24))
    if len(bad) or heads.empty[chosen].any():
        record = int(keys[chosen[bad[0]]]) if len(bad) else int(keys[chosen[heads.empty[chosen].argmax()]])
        what = "has no whole number as its label" if len(bad) else "holds no image"
        raise DataError(f"record {record} {what}", where=path, expected="a label and an encoded image")
    order = chosen[np.argsort(keys[chosen], kind="stable")]
    return _assembled(records, heads, keys, order)


@dataclass(frozen=True)
class _Heads:
    flags: np.ndarray  # uint32 [R]
    labels: np.ndarray  # float64 [R], the first label
    pairs: np.ndarray  # float64 [R, 2], the first two labels where flag >= 2
    sizes: np.ndarray  # int64 [R], bytes before the image
    empty: np.ndarray  # bool [R]: nothing follows the header


def _heads(path: Path, records: Records) -> _Heads:
    """Return flag, labels and length of every record's header, read at once from the mapped file."""
    file = np.memmap(path, np.uint8, mode="r")
    at, length = records.offsets[records.first[:-1]], records.lengths[records.first[:-1]]
    short = np.flatnonzero(length < HEADER.size)
    if len(short):
        raise DataError(f"record {short[0]} is too short for a header", where=path, expected="image records")
    head = file[at[:, None] + np.arange(8)]
    flags = head[:, :4].copy().view("<u4")[:, 0]
    labels = head[:, 4:8].copy().view("<f4")[:, 0].astype(np.float64)
    sizes = HEADER.size + 4 * flags.astype(np.int64)
    over = np.flatnonzero(sizes > length)
    if len(over):
        raise DataError(
            f"record {over[0]} states {flags[over[0]]} labels and has no room for them", where=path
        )
    pairs = np.zeros((len(flags), 2))
    many = np.flatnonzero(flags > 0)
    if len(many):
        labels[many] = file[at[many, None] + np.arange(24, 28)].copy().view("<f4")[:, 0]
    double = np.flatnonzero(flags >= 2)
    if len(double):
        pairs[double] = file[at[double, None] + np.arange(24, 32)].copy().view("<f4")
    whole = np.diff(records.first) == 1
    return _Heads(flags, labels, pairs, sizes, whole & (sizes == length))


def _matched(path: Path, index: Path, records: Records) -> np.ndarray:
    """Return the key of every record by the index; raises `DataError` where the two do not match."""
    keys, offsets = read_index(index)
    position = np.searchsorted(records.starts, offsets).clip(0, max(0, len(records.starts) - 1))
    wrong = np.flatnonzero(records.starts[position] != offsets)
    hint = "take the index that came with the file, or remove it"
    if len(wrong):
        k = wrong[0]
        raise DataError(
            f"puts record {keys[k]} at byte {offsets[k]}, where {path.name} has none", where=index, do=hint
        )
    if len(keys) != len(records.starts) or len(np.unique(keys)) != len(keys):
        raise DataError(
            f"names {len(np.unique(keys))} records of {len(records.starts)} in {path.name}",
            where=index,
            do=hint,
        )
    result = np.empty(len(keys), np.int64)
    result[position] = keys
    if len(np.unique(position)) != len(keys):
        raise DataError("names a record twice", where=index, do=hint)
    return result


def _check_ranges(path: Path, keys: np.ndarray, heads: _Heads, begin: int, end: int) -> None:
    """Refuse class ranges in record 0 that contradict the records."""
    people = np.flatnonzero((keys >= begin) & (keys < end))
    if begin < 1 or end < begin or len(people) != end - begin:
        raise DataError(
            f"record 0 speaks of records {begin} to {end - 1}, the file has {len(keys)}",
            where=path,
            expected="class ranges that fit the file",
        )
    ranges = heads.pairs[people[np.argsort(keys[people])]]
    if len(ranges) and (heads.flags[people].min() < 2 or (np.diff(ranges, axis=1) < 0).any()):
        raise DataError("a class has no range of records", where=path, expected="first and last record")
    if len(ranges) and (ranges.min() < 1 or ranges.max() > begin):
        raise DataError("a class range reaches beyond the images", where=path, expected=f"1 to {begin}")


def _assembled(records: Records, heads: _Heads, keys: np.ndarray, order: np.ndarray) -> Content:
    parts = records.first[order]
    skip = heads.sizes[order]
    offsets, lengths = records.offsets[parts] + skip, records.lengths[parts] - skip
    joined: list[tuple[int, int, int]] = []
    for number in np.flatnonzero(records.first[order + 1] - parts > 1).tolist():
        rest = range(int(parts[number]) + 1, int(records.first[order[number] + 1]))
        joined.append((number, offsets[number], lengths[number]))
        joined += [(number, records.offsets[part], records.lengths[part]) for part in rest]
    return Content(
        keys=keys[order],
        labels=heads.labels[order].astype(np.int64),
        offsets=offsets,
        lengths=lengths,
        joined=np.array(joined, np.int64).reshape(-1, 3),
    )


def frame(record: bytes) -> bytes:
    """Return a record in the file's form, split where the magic number lies at a multiple of 4."""
    cuts, position = [], record.find(GLUE)
    while position >= 0:
        if position % 4 == 0:
            cuts.append(position)
            position = record.find(GLUE, position + 4)
        else:
            position = record.find(GLUE, position + 1)
    starts = [0, *(cut + 4 for cut in cuts)]
    ends = [*cuts, len(record)]
    result = []
    for number, (start, end) in enumerate(zip(starts, ends)):
        last = number == len(starts) - 1
        kind = 0 if len(starts) == 1 else 1 if number == 0 else 3 if last else 2
        piece = record[start:end]
        result.append(struct.pack("<II", MAGIC, kind << 29 | len(piece)) + piece + bytes(-len(piece) % 4))
    return b"".join(result)


def write(path: Path, index: Path, images: Iterable[tuple[int, bytes]], count: int) -> None:
    """Write `count` images (label, encoded bytes), ascending labels, in the form of the face sets."""
    with open(path, "wb") as file, open(index, "w", encoding="ascii") as keys:

        def put(key: int, record: bytes) -> None:
            keys.write(f"{key}\t{file.tell()}\n")
            file.write(frame(record))

        ranges: list[tuple[int, int, int]] = []
        start = file.tell()
        put(0, HEADER.pack(2, 0.0, 0, 0) + bytes(8))  # filled in at the end, when the classes are known
        for key, (label, image) in enumerate(images, start=1):
            put(key, HEADER.pack(0, float(label), key, 0) + image)
            if not ranges or ranges[-1][0] != label:
                ranges.append((label, key, key))
            ranges[-1] = (label, ranges[-1][1], key + 1)
        for key, (label, first, end) in enumerate(ranges, start=count + 1):
            put(key, HEADER.pack(2, float(label), key, 0) + struct.pack("<ff", first, end))
        file.seek(start)
        bounds = struct.pack("<ff", count + 1, count + 1 + len(ranges))
        file.write(frame(HEADER.pack(2, 0.0, 0, 0) + bounds))
