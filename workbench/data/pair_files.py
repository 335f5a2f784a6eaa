"""Pair files to images and pairs: the field's `.bin`, and lists of image files.

A `.bin` is a pickle of (images, is-same flags): pair k is images 2k and 2k + 1, encoded (JPEG, PNG)
or as arrays, or columns of bytes as `cv2.imencode` returns them. A list has the columns `first`, `second` and
`same` (1 or 0), image paths relative to a folder, and may have a column `group` for accuracy by subgroup; a
list without a header has these three, parted by spaces, commas or tabs.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from workbench.errors import DataError, suggestion
from workbench.security import safe_pickle
from workbench.security.foreign_names import listed
from workbench.spec.interfaces import PairImages

ENCODED = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"GIF8")  # how files of images begin
# Of a list without a header; `same` may be the name of a column.
PLAIN_FLAGS = ("1", "0", "-1", "true", "false")
SNIFFED_LINES = 20
TRUE, FALSE = ("1", "true", "yes", "same"), ("0", "false", "no", "different", "-1")


def read_bin(path: Path) -> PairImages:
    """Return the pairs of a `.bin` file; images that occur several times are kept once.

    Raises `DataError` for a file that is not such a pickle, is empty, has an odd number of images, or
    flags that do not match them.
    """
    content = safe_pickle.load(path)
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise DataError("holds no pairs", where=path, expected="a pickle of (images, is-same flags)")
    images, flags = content
    if not _is_list(images) or not _is_list(flags):
        raise DataError("holds no pairs", where=path, expected="a list of images and a list of flags")
    if not len(images):
        raise DataError("holds no images", where=path, expected="two images for each pair")
    if len(images) % 2:
        raise DataError(f"{len(images)} images", where=path, expected="an even number, two for each pair")
    if len(images) != 2 * len(flags):
        raise DataError(
            f"{len(flags)} is-same flags for {len(images)} images",
            where=path,
            expected=f"{len(images) // 2} flags",
        )
    same = _flags(flags, path)
    pictures = [_picture(image, f"{path}: image {number}") for number, image in enumerate(images)]
    distinct, positions = once(pictures)
    return PairImages(
        encoded=distinct,
        first=positions[0::2],
        second=positions[1::2],
        same=same,
        names=[f"image {number}" for number in np.unique(positions, return_index=True)[1]],
        fingerprint=fingerprint(distinct, positions, same),
    )


def of_files(
    files: Mapping[str, Path],
    first: Sequence[str],
    second: Sequence[str],
    same: np.ndarray,
    groups: Sequence[str] | None = None,
) -> PairImages:
    """Return pairs of image files, whose folders are the people on them.

    Args:
        files: The files by name, in the order in which they are numbered: the fingerprint follows it.
        first: [P] names, the first of each pair.
        second: [P] names, the second of each pair.
        same: bool [P].
        groups: [P] names of subgroups, where the list has them.
    """
    distinct, positions = once([file.read_bytes() for file in files.values()])
    place = dict(zip(files, positions.tolist()))
    sides = [np.array([place[name] for name in names], np.int64) for names in (first, second)]
    written = list(files)
    names = [written[number] for number in np.unique(positions, return_index=True)[1]]
    return PairImages(
        encoded=distinct,
        first=sides[0],
        second=sides[1],
        same=same,
        names=names,
        identities=_people(names),
        groups=groups,
        fingerprint=fingerprint(distinct, np.concatenate(sides), same),
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _flags(flags: Any, path: Path) -> np.ndarray:
    try:
        values = np.asarray(flags)
        if values.ndim == 1 and values.dtype.kind in "biuf" and np.isin(values, (0, 1)).all():
            return values.astype(bool)
    except ValueError:  # lists of different lengths: no flags either
        pass
    raise DataError("flags other than true and false", where=path, expected="one is-same flag for each pair")


def _picture(image: Any, where: str) -> Any:
    """Return one image as bytes (encoded) or uint8 [h, w, 3]."""
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and (image.ndim == 1 or _is_encoded_column(image)):
            return image.tobytes()
        if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
            image = image.transpose(1, 2, 0)  # channels first, as MXNet keeps them
        if (
            image.dtype == np.uint8
            and image.size
            and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3)))
        ):
            grey = image if image.ndim == 3 else image[..., None]
            return np.ascontiguousarray(np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey)
        raise DataError(
            f"an array of {image.dtype} {image.shape}", where=where, expected="uint8 of height x width x 3"
        )
    if isinstance(image, str):
        image = image.encode("latin1", "replace")
    if not isinstance(image, bytes) or not image:
        what = "an empty image" if isinstance(image, bytes) else f"a {type(image).__name__}"
        raise DataError(what, where=where, expected="encoded bytes or an array")
    return image


def _is_encoded_column(image: np.ndarray) -> bool:
    """Tell encoded bytes in a column or row, [n, 1] or [1, n], from a picture one pixel wide: they begin as a file does."""
    return image.ndim == 2 and 1 in image.shape and image.tobytes().startswith(ENCODED)


def once(pictures: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the distinct pictures in the order of appearance, and the place of each in them, [n]."""
    places: dict[tuple[Any, ...], int] = {}
    distinct: list[Any] = []
    positions = np.empty(len(pictures), np.int64)
    for number, picture in enumerate(pictures):
        shape = picture.shape if isinstance(picture, np.ndarray) else None
        content = picture.tobytes() if isinstance(picture, np.ndarray) else picture
        # With the shape, for equal bytes may be two pictures; by digest, for the keys of a large set would hold it twice.
        key = (hashlib.blake2b(content, digest_size=16).digest(), shape)
        if key not in places:
            places[key] = len(distinct)
            distinct.append(picture)
        positions[number] = places[key]
    return distinct, positions


def fingerprint(pictures: Sequence[Any], positions: np.ndarray, same: np.ndarray) -> str:
    """Return 16 hex digits over images, pairs and flags."""
    digest = hashlib.sha256(np.ascontiguousarray(positions, np.int64).tobytes() + same.tobytes())
    for picture in pictures:
        digest.update(picture.tobytes() if isinstance(picture, np.ndarray) else picture)
    return digest.hexdigest()[:16]


def read_list(path: Path, folder: Path | None = None, group: str = "group") -> PairImages:
    """Return the pairs of a CSV or TSV list; paths are relative to `folder`, by default the list's own.

    Raises `DataError` naming the line: a missing column or image, a flag that is neither 1 nor 0.
    """
    lines, first_line = _lines(path)
    columns = list(lines[0]) if lines else []
    for name in ("first", "second", "same"):
        if name not in columns:
            hint = suggestion(name, columns) if columns else None
            raise DataError(
                f"no column {name!r}", where=path, expected="the columns first, second, same", do=hint
            )
    files: dict[str, Path] = {}
    for side in ("first", "second"):
        for number, line in enumerate(lines, start=first_line):
            if line[side] not in files:
                files[line[side]] = _file(folder or path.parent, line[side], f"{path}:{number}")
    same = np.array(
        [_truth(line["same"], path, number) for number, line in enumerate(lines, start=first_line)]
    )
    groups = [line[group] for line in lines] if group in columns else None
    return of_files(
        files, [line["first"] for line in lines], [line["second"] for line in lines], same, groups
    )


def people(path: Path) -> frozenset[str]:
    """Return the names of the people in a list, none where its images are in no folders."""
    lines, _ = _lines(path)
    names = list(dict.fromkeys(line.get(side, "") for line in lines for side in ("first", "second")))
    return frozenset(_people(names) or ())


def _people(names: Sequence[str]) -> list[str] | None:
    """Return the people on images: the folders that hold them, or None where some are in no folder."""
    folders = [PurePosixPath(name).parent.name for name in names]
    return folders if all(folders) else None


def is_plain_list(path: Path) -> bool:
    """Tell a list without a header: each of its first lines is two names and a flag."""
    try:
        return _plain_rows(_text(path).splitlines()[:SNIFFED_LINES]) is not None
    except DataError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read: {error}", where=path, expected="a list of pairs in UTF-8"
        ) from error


def _plain_rows(lines: Sequence[str]) -> list[dict[str, str]] | None:
    """Return the rows of lines `first second flag`, parted by tabs, commas or spaces; None where one is not."""
    rows = []
    for line in lines:
        if not line.strip():
            continue
        parting = next((sign for sign in "\t,;" if line.count(sign) == 2), None)
        cells = [cell.strip() for cell in (line.split(parting) if parting else line.split())]
        if len(cells) != 3 or cells[2].lower() not in PLAIN_FLAGS or cells[1].isdigit():
            return None  # `name 1 4` is LFW's
        rows.append({"first": cells[0], "second": cells[1], "same": cells[2]})
    return rows or None


def _lines(path: Path) -> tuple[list[dict[str, str]], int]:
    """Return the rows of a list by the names of its columns, and the number of the first row's line."""
    text = _text(path)
    plain = _plain_rows(text.splitlines()[:SNIFFED_LINES])
    if plain is not None:
        rows = [_plain_rows([line]) for line in text.splitlines() if line.strip()]
        for number, row in enumerate(rows, start=1):
            if row is None:
                raise DataError(
                    "does not say two images and whether they show one person",
                    where=f"{path}:{number}",
                    expected="`first second 1` or `first second 0`",
                )
        return [row[0] for row in rows if row], 1
    try:
        file = io.StringIO(text, newline="")
        lines = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", restval=""))
    except csv.Error as error:
        raise DataError(
            f"cannot be read: {error}", where=path, expected="a CSV or TSV list in UTF-8"
        ) from error
    if not lines:
        raise DataError("holds no pairs", where=path, expected="a header and a line for each pair")
    return lines, 2


def _file(folder: Path, name: str, where: str) -> Path:
    """Return the file of an image's name; raises `DataError` where it is not there or leaves the folder."""
    file = listed(folder, name, where=where) if name else folder
    if not file.is_file():
        raise DataError(f"names {name!r}, which is not in {folder}", where=where, expected="an image file")
    return file


def _truth(text: str, path: Path, line: int) -> bool:
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise DataError(f"same is {text!r}", where=f"{path}:{line}", expected="1 or 0")
    return word in TRUE
