"""A file of pairs, whatever its form: seen from the file itself, and read in the same way by every command.

The forms are the field's `.bin` (a pickle), lists of image files (`first,second,same` with a header, or three
columns parted by spaces, commas or tabs, `a.jpg b.jpg 1`), and LFW's own lists (`name n1 n2`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from workbench.data import lfw_pairs, pair_files
from workbench.errors import DataError
from workbench.spec.interfaces import PairImages

BIN, LIST, LFW = "bin", "list", "lfw"
HEAD_BYTES = 4096


def form_of(path: Path) -> str:
    """Return the form of a file of pairs: BIN, LIST or LFW."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError("cannot be read", where=path, expected="a readable file", do=str(error)) from error
    first = head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].split()
    if b"\0" in head or (path.suffix.lower() == ".bin" and not head.isascii()):
        return BIN
    if first and len(first) <= 2 and all(word.isdigit() for word in first):
        return LFW
    if path.suffix.lower() in (".csv", ".tsv") or pair_files.is_plain_list(path):
        return LIST
    return LFW if path.suffix.lower() == ".txt" else BIN


def read(
    path: Path, folder: Path | None = None, group: str = "group", sets: Collection[int] = ()
) -> PairImages:
    """Return the pairs of a file; the paths of a list are relative to `folder`, by default the file's own.

    Raises `DataError` naming the line or the image at fault.
    """
    form = form_of(path)
    if form == LFW:
        return lfw_pairs.read(path, folder or path.parent, sets)
    if sets:
        raise DataError("has no sets", where=path, expected="a list as of LFW, whose first line states them")
    return pair_files.read_list(path, folder, group) if form == LIST else pair_files.read_bin(path)


def people(path: Path, sets: Collection[int] = ()) -> frozenset[str]:
    """Return the names of the people in a list; none of a `.bin`, which has no names."""
    form = form_of(path)
    if form == LFW:
        return lfw_pairs.people(path, sets)
    return pair_files.people(path) if form == LIST else frozenset()
