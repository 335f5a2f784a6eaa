"""Pairs lists in the text form of LFW's View 2.

The first line states the number of sets and of pairs of each kind in a set (or the latter alone), then
come, set by set, lines `name n1 n2` for two images of one person and `name1 n1 name2 n2` for two
people; image n of a person is `name/name_000n.jpg`. Fields are parted by tabs, or by spaces.
(G. B. Huang et al., "Labeled Faces in the Wild", University of Massachusetts Technical Report 07-49.)
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.data import image_check, pair_files
from workbench.errors import DataError
from workbench.security.foreign_names import is_count, is_inner
from workbench.spec.interfaces import PairImages


class Pair(NamedTuple):
    """One line of a list: two images as `name/name_000n`, whether they show one person, the line's number."""

    first: str
    second: str
    same: bool
    line: int


def read(path: Path, folder: Path, sets: Collection[int] = ()) -> PairImages:
    """Return the pairs of a list, or of some of its sets, images from `folder`.

    Raises `DataError` naming the line at fault.
    """
    pairs = parse(path, sets)
    files: dict[str, Path] = {}
    for pair in pairs:
        for name in (pair.first, pair.second):
            if name not in files:
                files[name] = _find(folder, name, f"{path}:{pair.line}")
    same = np.array([pair.same for pair in pairs])
    return pair_files.of_files(files, [pair.first for pair in pairs], [pair.second for pair in pairs], same)


def people(path: Path, sets: Collection[int] = ()) -> frozenset[str]:
    """Return the names of the people in a list, or in some of its sets; no image is looked at."""
    pairs = parse(path, sets)
    return frozenset(name.partition("/")[0] for pair in pairs for name in (pair.first, pair.second))


def parse(path: Path, sets: Collection[int] = ()) -> list[Pair]:
    """Return the pairs of every line, or of the lines of some `sets` (1-based)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text", where=path, expected="a pairs list as of LFW") from error
    count, each = _header(lines, path)
    pairs = [_pair(line, path, number) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    if len(pairs) != 2 * count * each:
        raise DataError(
            f"{len(pairs)} pairs, the first line states {count} sets of {each} and {each}",
            where=path,
            expected=f"{2 * count * each} pairs",
        )
    for number in sets:
        if not 1 <= number <= count:
            raise DataError(f"no set {number}", where=path, expected=f"one of its sets, 1 to {count}")
    chosen = sorted(set(sets)) or range(1, count + 1)
    return [pair for number in chosen for pair in pairs[2 * each * (number - 1) : 2 * each * number]]


def _header(lines: list[str], path: Path) -> tuple[int, int]:
    """Return how many sets a list has, and how many pairs of each kind a set has."""
    if not lines:
        raise DataError("is empty", where=path, expected="a pairs list as of LFW")
    header = lines[0].split()
    if not 1 <= len(header) <= 2 or not all(map(is_count, header)):
        raise DataError(
            f"begins with {lines[0][:40]!r}", where=f"{path}:1", expected="the numbers of sets and of pairs"
        )
    return (int(header[0]) if len(header) == 2 else 1), int(header[-1])


def _pair(line: str, path: Path, number: int) -> Pair:
    words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
    wrong = DataError(
        f"{line[:60]!r}", where=f"{path}:{number}", expected="`name n1 n2` or `name1 n1 name2 n2`"
    )
    if len(words) == 3:
        words = [words[0], words[1], words[0], words[2]]
        same = True
    elif len(words) == 4:
        same = False
    else:
        raise wrong
    if not is_count(words[1]) or not is_count(words[3]):
        raise wrong
    for name in (words[0], words[2]):
        if "/" in name or "\\" in name or not is_inner(f"{name}/{name}_0000.jpeg"):
            raise wrong
    return Pair(_image(words[0], words[1]), _image(words[2], words[3]), same, number)


def _image(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}"


def _find(folder: Path, name: str, where: str) -> Path:
    """Return the file of an image: LFW's name for it, or the n-th image of the person's folder."""
    for ending in image_check.ENDINGS:
        file = folder / (name + ending)
        if file.is_file():
            return file
    person, _, stem = name.rpartition("/")
    number = int(stem.rpartition("_")[2])
    there = sorted(f for f in (folder / person).glob("*") if f.suffix.lower() in image_check.ENDINGS)
    if there and not any(f.stem.startswith(f"{person}_") for f in there) and 1 <= number <= len(there):
        return there[number - 1]
    raise DataError(
        f"names {name}, which is not in {folder}", where=where, expected="an image file for every name"
    )
