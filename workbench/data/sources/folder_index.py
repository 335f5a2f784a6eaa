"""The index of a folder of images: what lies where, kept so that a million files are scanned once.

File names are one run of bytes with offsets, so a file costs its name and 20 bytes more. The cached
index holds while the modification times of all folders are what they were; a file overwritten in
place changes no folder, which is what `recheck` is for. It is arrays and JSON, never a pickle.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data import cache, image_check
from workbench.errors import DataError
from workbench.spec.interfaces import Places

VERSION = 2
RACY_NS = 2_000_000_000  # a folder changed this shortly before a scan may change again unnoticed


@dataclasses.dataclass(frozen=True)
class Index:
    """N image files below `root`: file k is `identities[labels[k]]/name(k)` of `sizes[k]` bytes.

    `faults` names what is wrong with broken files; `strays` are files that are not images by name.
    """

    root: str
    identities: tuple[str, ...]
    labels: np.ndarray  # int32 [N], ascending
    names: np.ndarray  # uint8, all file names one after the other
    offsets: np.ndarray  # int64 [N + 1]
    sizes: np.ndarray  # int64 [N]
    faults: dict[int, str]
    strays: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def file(self, number: int) -> bytes:
        """Return the file name of image `number`."""
        return self.names[self.offsets[number] : self.offsets[number + 1]].tobytes()

    def path(self, number: int) -> str:
        """Return the whole path of image `number`."""
        folder = os.fsencode(os.path.join(self.root, self.identities[self.labels[number]]))
        return os.fsdecode(os.path.join(folder, self.file(number)))

    def subset(self, chosen: np.ndarray) -> Index:
        """Return the index of the images `chosen` (ascending numbers); labels keep their meaning."""
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        position = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths)
        faults = {int(new): self.faults[int(k)] for new, k in enumerate(chosen) if int(k) in self.faults}
        labels, names, sizes = self.labels[chosen], self.names[position], self.sizes[chosen]
        return dataclasses.replace(
            self, labels=labels, names=names, offsets=offsets, sizes=sizes, faults=faults
        )


class Names(Sequence[str]):
    """The image ids of an index, `identity/file`, made when they are asked for."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        file = self._index.file(number).decode("utf-8", "replace")
        return f"{self._index.identities[self._index.labels[number]]}/{file}"


def folder_index(root: Path, places: Places, recheck: bool = False, thorough: bool = False) -> Index:
    """Return the index of `root` (one sub-folder an identity), from the cache where it still fits."""
    where = os.path.realpath(root)
    key = hashlib.sha256(os.fsencode(where)).hexdigest()[:16]
    path = places.cache / f"folder-{key}.index" if places.cache else None
    if path is not None and not recheck:
        found = _load(path, where, thorough)
        if found is not None:
            return found
    started = time.time_ns()
    index, times = scan(where, thorough)
    if path is not None:
        _store(path, index, times, started, thorough)
    return index


def scan(root: str, thorough: bool = False) -> tuple[Index, np.ndarray]:
    """Walk `root` and look at every file; return the index and the folders' modification times."""
    entries = [entry for entry in _entries(root) if not entry.name.startswith(".")]
    identities = sorted(entry.name for entry in entries if _is(entry.is_dir))
    nowhere = sorted(e.name for e in entries if e.is_symlink() and not (_is(e.is_dir) or _is(e.is_file)))
    _refuse_two_spellings(identities, root)
    folders = [os.fsencode(os.path.join(root, name)) for name in identities]
    times = np.array([os.stat(folder).st_mtime_ns for folder in (os.fsencode(root), *folders)], np.int64)
    # More threads than cores: they wait for the disk.
    with ThreadPoolExecutor(max_workers=min(16, 4 * (os.cpu_count() or 1))) as pool:
        parts = list(pool.map(lambda folder: _scan_identity(folder, thorough), folders))
    names = [name for part in parts for name, _, _ in part[0]]
    files = [file for part in parts for file in part[0]]
    strays = [f"{identity}/{s}" for identity, part in zip(identities, parts) for s in part[1]]
    index = Index(
        root=root,
        identities=tuple(identities),
        labels=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part[0]) for part in parts]),
        names=np.frombuffer(b"".join(names), np.uint8),
        offsets=np.cumsum([0, *(len(name) for name in names)], dtype=np.int64),
        sizes=np.array([size for _, size, _ in files], np.int64),
        faults={number: file[2] for number, file in enumerate(files) if file[2]},
        strays=(*nowhere, *strays),
    )
    return index, times


def _entries(folder: Any) -> list[Any]:
    """Return what a folder holds; raises `DataError` for one that cannot be looked into."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=os.fsdecode(folder)) from error


def _is(kind: Callable[[], bool]) -> bool:
    """Tell whether an entry is of a kind; Python raises for a link that leads in a circle, which is of none."""
    try:
        return kind()
    except OSError:
        return False


def _scan_identity(folder: bytes, thorough: bool) -> tuple[list[tuple[bytes, int, str | None]], list[str]]:
    """Return (name, size, fault) of each image file by name, and the names of strays."""
    files, strays = [], []
    entries = [entry for entry in _entries(folder) if not entry.name.startswith(b".")]
    entries.sort(key=lambda entry: entry.name)
    for entry in entries:
        ending = os.path.splitext(os.fsdecode(entry.name))[1].lower()
        if ending in image_check.ENDINGS and _is(entry.is_file):
            files.append((entry.name, entry.stat().st_size, image_check.fault(entry.path, thorough)))
        elif ending in image_check.FOREIGN:
            files.append((entry.name, entry.stat().st_size, f"is a {ending} file"))
        else:
            strays.append(entry.name.decode("utf-8", "replace"))
    return files, strays


def _refuse_two_spellings(identities: list[str], root: str) -> None:
    """Raise `DataError` for `Jane_Doe` beside `jane doe`: one person trained as two is an error that no curve shows."""
    seen: dict[str, str] = {}
    for name in identities:
        plain = "".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
        if plain in seen:
            raise DataError(
                f"{seen[plain]!r} and {name!r} look like two spellings of one identity",
                where=root,
                expected="one sub-folder for each identity",
                do="put their images together, or rename one clearly",
            )
        seen[plain] = name


def _store(path: Path, index: Index, times: np.ndarray, started: int, thorough: bool) -> None:
    words = {
        "version": VERSION,
        "root": index.root,
        "identities": index.identities,
        "started": started,
        "thorough": thorough,
        "faults": index.faults,
        "strays": index.strays,
    }
    arrays = {
        "words": np.frombuffer(json.dumps(words).encode("ascii"), np.uint8),
        "times": times,
        "names": index.names,
        "lengths": np.diff(index.offsets).astype(np.uint16),
        "counts": np.bincount(index.labels, minlength=len(index.identities)),
        "sizes": index.sizes,
    }
    cache.store_arrays(path, arrays)


def _load(path: Path, root: str, thorough: bool) -> Index | None:
    arrays = cache.load_arrays(path)
    if arrays is None or not {"words", "times", "names", "lengths", "counts", "sizes"} <= set(arrays):
        return None
    words = json.loads(arrays["words"].tobytes())
    if words["version"] != VERSION or words["root"] != root or (thorough and not words["thorough"]):
        return None
    identities = tuple(words["identities"])
    if not _unchanged(root, identities, arrays["times"], words["started"]):
        return None
    faults = {int(number): text for number, text in words["faults"].items()}
    labels = np.repeat(np.arange(len(identities), dtype=np.int32), arrays["counts"])
    offsets = np.append(0, np.cumsum(arrays["lengths"], dtype=np.int64))
    return Index(
        root, identities, labels, arrays["names"], offsets, arrays["sizes"], faults, tuple(words["strays"])
    )


def _unchanged(root: str, identities: tuple[str, ...], times: np.ndarray, started: int) -> bool:
    if len(times) and int(times.max()) > started - RACY_NS:
        return False
    try:
        place = os.open(root, os.O_RDONLY)
        try:  # names below an open folder: the system need not walk the whole path each time
            found = [os.stat(name, dir_fd=place).st_mtime_ns for name in (".", *identities)]
        finally:
            os.close(place)
    except OSError:
        return False
    return np.array_equal(np.array(found, np.int64), times)
