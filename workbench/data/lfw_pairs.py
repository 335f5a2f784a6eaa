"""Pairs lists in the text form of LFW's View 2.

The first line states the number of sets and of pairs of each kind in a set (or the latter alone), then
come, set by set, lines `name n1 n2` for two images of one person and `name1 n1 name2 n2` for two
people; image n of a person is `name/name_000n.jpg`. Fields are parted by tabs, or by spaces.
(G. B. Huang et al., "Labeled Faces in the Wild", University of Massachusetts Technical Report 07-49.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.data import image_check
from workbench.data.pair_files import fingerprint, once
from workbench.errors import DataError
from workbench.spec.interfaces import PairImages

Pair = tuple[str, str, bool]


def read(path: Path, folder: Path) -> PairImages:
    """Return the pairs of a list, images from `folder`; raises `DataError` naming the line at fault."""
    pairs = parse(path)
    numbers: dict[str, int] = {}
    files: list[Path] = []
    for line, (first, second, _) in enumerate(pairs, start=2):
        for name in (first, second):
            if name not in numbers:
                numbers[name] = len(files)
                files.append(_find(folder, name, f"{path}:{line}"))
    distinct, positions = once([file.read_bytes() for file in files])
    left = positions[[numbers[a] for a, _, _ in pairs]]
    right = positions[[numbers[b] for _, b, _ in pairs]]
    same = np.array([flag for _, _, flag in pairs])
    names = list(numbers)
    places = np.unique(positions, return_index=True)[1]
    return PairImages(
        encoded=distinct,
        first=left,
        second=right,
        same=same,
        names=[names[place] for place in places],
        fingerprint=fingerprint(distinct, np.concatenate([left, right]), same),
    )


def parse(path: Path) -> list[Pair]:
    """Return (image, image, same) of every line, images as `name/name_000n`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("is no UTF-8 text", where=path, expected="a pairs list as of LFW") from error
    if not lines:
        raise DataError("is empty", where=path, expected="a pairs list as of LFW")
    header = lines[0].split()
    if not 1 <= len(header) <= 2 or not all(word.isdigit() for word in header):
        raise DataError(
            f"begins with {lines[0][:40]!r}", where=f"{path}:1", expected="the numbers of sets and of pairs"
        )
    pairs = [
        _pair(line, f"{path}:{number}") for number, line in enumerate(lines[1:], start=2) if line.strip()
    ]
    sets, each = (int(header[0]) if len(header) == 2 else 1), int(header[-1])
    if len(pairs) != 2 * sets * each:
        raise DataError(
            f"{len(pairs)} pairs, the first line states {sets} sets of {each} and {each}",
            where=path,
            expected=f"{2 * sets * each} pairs",
        )
    return pairs


def _pair(line: str, where: str) -> Pair:
    words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
    wrong = DataError(f"{line[:60]!r}", where=where, expected="`name n1 n2` or `name1 n1 name2 n2`")
    if len(words) == 3:
        words = [words[0], words[1], words[0], words[2]]
        same = True
    elif len(words) == 4:
        same = False
    else:
        raise wrong
    if not words[1].isdigit() or not words[3].isdigit():
        raise wrong
    for name in (words[0], words[2]):
        if "/" in name or "\\" in name or "\0" in name or name in ("", ".", ".."):
            raise wrong
    return _image(words[0], words[1]), _image(words[2], words[3]), same


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
