"""A folder of images: one sub-folder for each identity, the form in which most people have faces."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union

import numpy as np

from workbench.data import fingerprints
from workbench.data.paths import locate
from workbench.data.people import PeopleOf
from workbench.data.sources import builtin, encoded, folder_index
from workbench.errors import DataError, few, suggestion
from workbench.lazy import tf
from workbench.spec.interfaces import Images, PairSet, Places, Source
from workbench.spec.part import part, setting

People = Union[PeopleOf, tuple[Union[str, PeopleOf], ...]]
Stored = encoded.Encoded  # `encoded` is also the name of a method of the source


@part
class ImageFolder(Source):
    """Images in sub-folders, one for each identity; JPEG, PNG, BMP or GIF, grey or colour, any size.

    Identities are numbered in the order of their names. Files whose name starts with a dot are passed
    over, files that are not images by name too, and said so.
    """

    path: str = setting(positional=True, doc="the folder, below WORKBENCH_DATA or absolute")
    identities: Union[int, None] = setting(None, at_least=2, doc="stated number of identities, checked")
    images: Union[int, None] = setting(None, at_least=2, doc="stated number of images, checked")
    only: People = setting((), doc="sub-folders to use, or PeopleOf a set; () uses all")
    leave_out: People = setting((), doc="sub-folders not to use, or PeopleOf an evaluation set")
    first: Union[int, None] = setting(None, at_least=2, doc="use the first n identities by name")
    include: Union[str, None] = setting(
        None, doc="file of the images to use, identity/file a line; # comments"
    )
    exclude: Union[str, None] = setting(None, doc="file of images not to use, as in include")
    min_images: int = setting(1, at_least=1, doc="identities with fewer images are left out")
    max_images: Union[int, None] = setting(None, at_least=1, doc="the first n images of each identity")
    broken: Literal["refuse", "skip"] = setting("refuse", doc="what happens to images that are not whole")
    keep: Literal["auto", "decoded", "encoded", "no"] = setting(
        "auto", place=True, doc="what stays in memory; auto: decoded where that takes up to 256 MiB"
    )
    recheck: bool = setting(False, place=True, doc="look at every file again, not at the cached index")
    thorough: bool = setting(False, place=True, doc="decode every file when the index is made")
    exact: bool = setting(False, place=True, doc="fingerprint of all content, not of a sample")

    def missing(self, places: Places) -> str | None:
        sets = (
            people.missing(places)
            for people in (*_each(self.only), *_each(self.leave_out))
            if isinstance(people, PeopleOf)
        )
        return super().missing(places) or next(filter(None, sets), None)

    def without(self, pairs: PairSet) -> ImageFolder:
        return self.but(
            leave_out=(*_each(self.leave_out), PeopleOf(pairs=pairs))
            if self.leave_out
            else PeopleOf(pairs=pairs)
        )

    def open(self, places: Places) -> Images:
        return encoded.opened(self.encoded(places), self.keep)

    def encoded(self, places: Places) -> Stored:
        """Return the chosen images as they are stored: labels from 0 on, names, how to read their bytes."""
        root = locate(self.path, places, f"ImageFolder({self.path!r})")
        everything = folder_index.folder_index(root, places, self.recheck, self.thorough)
        strays = everything.strays
        notes = [f"{few(strays)}: no images by name, passed over"] if strays else []
        used, more = self._selected(everything, places)
        if len(used.identities) < 2:
            raise DataError(
                f"{len(used)} images of {len(used.identities)} identities",
                where=root,
                expected="at least two sub-folders with images, one for each identity",
            )
        encoded.check_stated(self, root, len(used.identities), len(used))
        place = _place(used)
        return Stored(
            fetch=lambda number: tf.io.read_file(place(number)),
            place=place,
            load=lambda path: tf.io.read_file(path),
            read=lambda number: Path(used.path(number)).read_bytes(),
            labels=used.labels,
            identities=used.identities,
            names=folder_index.Names(used),
            fingerprint=fingerprint(used, self.exact),
            where=str(root),
            notes=(*notes, *more),
            skipping="ImageFolder(broken='skip', thorough=True)",
        )

    def stand_in(self) -> Source:
        return builtin.small_faces(self.hold_out, identities=self.identities)

    def _selected(self, found: folder_index.Index, places: Places) -> tuple[folder_index.Index, list[str]]:
        """Return the index of the used images (labels 0 to C - 1, their identities alone) and notes."""
        keep = np.isin(found.labels, self._wanted(found, places))
        for list_file, wanted in ((self.include, True), (self.exclude, False)):
            if list_file is not None:
                listed = _listed(found, locate(list_file, places, "ImageFolder", "a file"))
                keep &= listed if wanted else ~listed
        notes = self._faults(found, keep)
        counts = np.bincount(found.labels[keep], minlength=len(found.identities))
        keep &= counts[found.labels] >= self.min_images
        if self.max_images is not None:
            kept = np.flatnonzero(keep)
            labels = found.labels[kept]  # ascending, so that each finds the first of its kind
            rank = np.arange(len(kept)) - np.searchsorted(labels, labels)
            keep[kept[rank >= self.max_images]] = False
        used = found if keep.all() else found.subset(np.flatnonzero(keep))
        present, labels = np.unique(used.labels, return_inverse=True)
        identities = tuple(found.identities[k] for k in present)
        return dataclasses.replace(used, labels=labels.astype(np.int32), identities=identities), notes

    def _wanted(self, found: folder_index.Index, places: Places) -> np.ndarray:
        only, leave_out = (_named(people, found, places) for people in (self.only, self.leave_out))
        names = [n for n in found.identities if (not self.only or n in only) and n not in leave_out]
        if self.first is not None:
            if len(names) < self.first:
                raise DataError(f"{len(names)} identities", where=found.root, expected=f"first={self.first}")
            names = names[: self.first]
        position = {name: number for number, name in enumerate(found.identities)}
        wanted = np.array([position[name] for name in names], np.int32)
        counts = np.bincount(found.labels, minlength=len(found.identities))
        hollow = [name for name in names if counts[position[name]] == 0]
        if hollow and self.broken == "refuse":
            raise DataError(
                f"no image in {few(hollow)}",
                where=found.root,
                expected="images in every identity's sub-folder",
                do="remove the sub-folder, or set broken='skip'",
            )
        return wanted

    def _faults(self, found: folder_index.Index, keep: np.ndarray) -> list[str]:
        """Refuse broken images, or take them out of `keep` and return a note with their number."""
        broken = [number for number in sorted(found.faults) if keep[number]]
        if not broken:
            return []
        name = folder_index.Names(found)[broken[0]]
        if self.broken == "refuse":
            more = f" (and {len(broken) - 1} more like it)" if len(broken) > 1 else ""
            raise DataError(
                f"{name} {found.faults[broken[0]]}{more}",
                where=found.root,
                expected="a complete JPEG, PNG, BMP or GIF",
                do="replace it, or set broken='skip'",
            )
        keep[broken] = False
        return [f"{len(broken)} broken images skipped, the first: {name} {found.faults[broken[0]]}"]


def _each(people: People) -> tuple[Union[str, PeopleOf], ...]:
    return people if isinstance(people, tuple) else (people,)


def _named(people: People, found: folder_index.Index, places: Places) -> set[str]:
    """Return the sub-folders that are meant; raises `DataError` for a name that is none of them.

    The people of an evaluation set need not be there: another collection of faces may have some of them, or none.
    """
    known, names = set(found.identities), set[str]()
    for one in _each(people):
        if isinstance(one, str) and one not in known:
            raise DataError(f"no sub-folder {one!r}", where=found.root, do=suggestion(one, found.identities))
        names |= {one} if isinstance(one, str) else one.names(places) & known
    return names


def _listed(found: folder_index.Index, path: Path) -> np.ndarray:
    """Return which images of the index a list names; raises `DataError` for a line that names none.

    The list is text as of `.gitignore`: a name a line, empty lines and comments (from `#` on) between them.
    """
    names = folder_index.Names(found)
    position = {names[number]: number for number in range(len(names))}
    result = np.zeros(len(names), bool)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text", where=path, expected="identity/file a line") from error
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        # A comment of the format, no mark of ours: an image's name begins with its identity, so where a folder is
        # called `#...` its images are in `position`, and are meant.
        if not name or (name.startswith("#") and name not in position):
            continue
        if name not in position:
            raise DataError(
                f"names {name!r}, which is not in {found.root}",
                where=f"{path}:{number}",
                expected="identity/file of an image in the folder",
            )
        result[position[name]] = True
    return result


def _place(used: folder_index.Index) -> Callable[[Any], Any]:
    """Return a graph function from record numbers, of any shape, to the paths of their files."""

    @functools.lru_cache(maxsize=1)
    def tensors() -> tuple[Any, Any, Any]:  # made outside any graph, so that functions capture them
        folders = [os.fsencode(os.path.join(used.root, name, "")) for name in used.identities]
        content, bounds = used.names.tobytes(), used.offsets.tolist()
        files = [content[start:end] for start, end in zip(bounds[:-1], bounds[1:])]
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(files), tf.constant(folders), tf.constant(used.labels)

    def place(numbers: Any) -> Any:
        files, folders, labels = tensors()
        return tf.gather(folders, tf.gather(labels, numbers)) + tf.gather(files, numbers)

    return place


def fingerprint(used: folder_index.Index, exact: bool) -> str:
    """Return 16 hex digits over names, sizes and the content of all files (exact) or of a sample."""
    digest = hashlib.sha256("\0".join(used.identities).encode("utf-8", "surrogateescape"))
    for array in (used.labels.astype(np.int64), used.names, used.offsets, used.sizes):
        digest.update(np.ascontiguousarray(array).data)
    return fingerprints.of_contents(
        digest, len(used), exact, lambda number: Path(used.path(number)).read_bytes()
    )
