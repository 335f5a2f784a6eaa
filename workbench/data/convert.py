"""One form of image data into another: folders, RecordIO, TFRecords; encoded bytes stay as they are."""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data import pair_sampling
from workbench.data.sources import recordio, tfrecords
from workbench.data.sources.encoded import Encoded
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.security.foreign_names import whole_letters
from workbench.spec.interfaces import PairImages, Places, Source

LONGEST_STEM = 200  # bytes of a name of a file that leave room for its ending
ENDINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"GIF8": ".gif"}


def stored(source: Source, places: Places, size: int | None = None, own_size: bool = False) -> Encoded:
    """Return the images of any source in encoded form; arrays are stored as PNG at `size`.

    `own_size` lets arrays without a `size` keep theirs.
    """
    if hasattr(source, "encoded"):
        found: Encoded = source.encoded(places)
        return found
    images = source.open(places)
    side = size or getattr(source, "image_size", None) or (images.side if own_size else None)
    if side is None:
        raise DataError("holds arrays of no stated size", where=str(source), expected="--size PIXELS")
    reader = images.reader(side)

    def read(number: int) -> bytes:
        png: bytes = tf.io.encode_png(reader(tf.constant(number, tf.int64))).numpy()
        return png

    return Encoded(
        fetch=lambda number: tf.io.encode_png(reader(number)),
        read=read,
        labels=images.labels,
        identities=images.identities,
        names=images.names,
        fingerprint=images.fingerprint,
        where=str(source),
        teacher=images.teacher,
        teacher_size=images.teacher_size,
    )


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Give a place beside `target` to write to; it takes the target's place only when all went well."""
    if target.exists():
        raise DataError(
            "exists already", where=target, expected="a new name", do="remove it or choose another"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.part{target.suffix}")
    remove(temporary)
    try:
        yield temporary
        temporary.rename(target)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def to_folder(images: Encoded, target: Path) -> int:
    """Write one sub-folder an identity, files named so that their order is that of the records."""
    with aside(target) as root:
        folders = [root / name for name in plain_names(images.identities)]
        for folder in folders:
            folder.mkdir(parents=True)
        digits = len(str(len(images.labels)))
        files = _file_names(images, digits)
        for number, label in enumerate(images.labels):
            content = images.read(number)
            ending = next((e for head, e in ENDINGS.items() if content.startswith(head)), None)
            if ending is None:
                raise DataError(f"{images.names[number]} is not an image", where=images.where)
            (folders[label] / (files[number] + ending)).write_bytes(content)
    return len(images.labels)


def plain_names(identities: tuple[str, ...]) -> list[str]:
    """Return folder names for identities: numbers padded so that they sort; nothing that climbs out."""
    if all(name.isdigit() for name in identities):
        width = max(len(name) for name in identities)
        return [name.zfill(width) for name in identities]
    result = [_harmless(name) for name in identities]
    if len({name.casefold() for name in result}) < len(result):
        raise DataError("two identities would share a folder", expected="names that differ as file names")
    return result


def _harmless(name: str) -> str:
    plain = re.sub(r'[/\\\0:*?"<>|\x01-\x1f]', "_", whole_letters(name)).strip(". ")
    return plain.encode()[:LONGEST_STEM].decode("utf-8", "ignore") or "_"


def _file_names(images: Encoded, digits: int) -> list[str]:
    """Return file stems: those of the images where they differ and keep the order, else numbers."""
    stems = [_harmless(Path(str(name)).name.rsplit(".", 1)[0]) for name in images.names]
    pairs = list(zip(images.labels.tolist(), stems))
    if len({(label, stem.casefold()) for label, stem in pairs}) == len(pairs) and pairs == sorted(pairs):
        return stems
    return [f"{number:0{digits}d}" for number in range(len(pairs))]


def to_recordio(images: Encoded, target: Path) -> int:
    """Write `.rec`, `.idx` and `.lst` in the form of the face sets: identity by identity."""
    order = np.argsort(images.labels, kind="stable").tolist()
    labels = images.labels.tolist()
    index, listed = target.with_suffix(".idx"), target.with_suffix(".lst")
    with aside(target) as rec, aside(index) as idx, aside(listed) as lst:
        recordio.write(rec, idx, ((labels[number], images.read(number)) for number in order), len(order))
        lines = [
            f"{key}\t{labels[number]}\t{_path(images, number)}\n" for key, number in enumerate(order, start=1)
        ]
        lst.write_text("".join(lines), encoding="utf-8")
    return len(order)


def _path(images: Encoded, number: int) -> str:
    """Return identity and name of an image for a list whose columns are parted by tabs."""
    name = str(images.names[number]).rpartition("/")[2]
    return re.sub(r"[\t\r\n]", "_", f"{images.identities[images.labels[number]]}/{name}")


def to_tfrecords(images: Encoded, target: Path, teacher: np.ndarray | None = None) -> int:
    """Write a TFRecord file, with a row of `teacher` [N, t] (float16 or float32) for each image."""

    def rows() -> Iterator[tuple[int, str, str, bytes, Any]]:
        for number, label in enumerate(images.labels.tolist()):
            vector = None if teacher is None else teacher[number]
            if teacher is None and images.teacher is not None:
                vector = np.asarray(images.teacher(tf.constant(number, tf.int64)), np.float32)
            yield label, images.identities[label], str(images.names[number]), images.read(number), vector

    with aside(target) as file:
        return tfrecords.write(file, rows())


def drawn_pairs(images: Encoded, pairs: int | None, seed: int) -> tuple[list[bytes], list[bool]]:
    """Return the images of drawn pairs, two for each, and their is-same flags."""
    drawn = pair_sampling.balanced(images.labels, pairs, seed, images.where)
    contents = {int(number): images.read(int(number)) for number in np.unique(np.concatenate(drawn[:2]))}
    return in_pairs(contents, drawn)


def in_pairs(contents: Any, pairs: pair_sampling.SampledPairs | PairImages) -> tuple[list[bytes], list[bool]]:
    """Return the images of pairs, two for each, and their is-same flags; `contents` has the images by number."""
    both = np.stack([pairs.first, pairs.second], axis=1).ravel()
    return [contents[number] for number in both.tolist()], [bool(flag) for flag in pairs.same]


def to_bin(images: list[bytes], same: list[bool], target: Path) -> int:
    """Write the field's `.bin`: a pickle of (encoded images, is-same flags); return the number of pairs."""
    with aside(target) as file, open(file, "wb") as stream:
        pickle.dump((images, same), stream, protocol=4)
    return len(same)
