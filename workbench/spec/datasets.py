"""What a data source or an evaluation set is once it is opened, and where data is looked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.lazy import tf

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Places:
    """Where relative paths of data are looked for (`roots`, in order) and where caches may lie."""

    roots: tuple[Path, ...]
    cache: Path | None = None

    def candidates(self, path: str) -> list[Path]:
        """Return where `path` may lie: itself if absolute (`~` is the home folder), else under each root in order."""
        given = Path(path).expanduser()
        return [given] if given.is_absolute() else [root / given for root in self.roots]

    def find(self, path: str) -> Path | None:
        """Return the first of the candidates that is there."""
        return next((place for place in self.candidates(path) if place.exists()), None)

    def missing(self, path: str) -> str:
        """Return the words that say where `path` was looked for."""
        places = ", ".join(str(root) for root in self.roots)
        return f"{path!r} is not there (looked in {places}); set WORKBENCH_DATA to the folder that holds it"


def default_places(project: Path | None = None) -> Places:
    """Return where data is looked for: `$WORKBENCH_DATA` (else `datasets/`), then the project."""
    project = project or Path.cwd()
    data = Path(os.environ.get("WORKBENCH_DATA") or project / "datasets")
    return Places(roots=(data, project), cache=project / "mlruns" / "cache")


@dataclass(frozen=True)
class Images:
    """An opened source: labels in memory, pixels by record number.

    `labels` is int32 [N] from 0 to C - 1; `identities` names the C labels; `names` gives each
    record's image id for messages. `reader(size)` returns a function for the graph: a scalar int64
    record number -> uint8 image [size, size, 3]; it must be pure. `fingerprint` covers the content.
    `teacher(numbers)`, where there is one, gives float embeddings [..., t]. `batches(size)`,
    for images that lie decoded in memory, returns a function [B] record numbers -> [B, size, size, 3]
    whose pixels equal those of `reader(size)`, or None. `raw`, for encoded images,
    does what is cheaper for many at once: [B] numbers -> [B] texts (the encoded images of a record file, the
    paths of a folder), which `decode(size)` turns into pixels one by one, after a call of `reader(size)`. `teacher` takes numbers of any shape. `blame(numbers)` finds the first broken image among
    some after reading has failed, and returns the error that names it.
    """

    labels: np.ndarray
    identities: tuple[str, ...]
    names: Sequence[str]
    reader: Callable[[int], Callable[[tf.Tensor], tf.Tensor]]
    fingerprint: str
    teacher: Callable[[tf.Tensor], tf.Tensor] | None = None
    teacher_size: int | None = None  # how many numbers a teacher's vector has
    batches: Callable[[int], Callable[[tf.Tensor], tf.Tensor] | None] | None = None
    raw: Callable[[tf.Tensor], tf.Tensor] | None = None
    decode: Callable[[int], Callable[[tf.Tensor], tf.Tensor]] | None = None
    blame: Callable[[Sequence[int]], Exception | None] | None = None
    mislabelled: np.ndarray | None = None  # records whose label is wrong on purpose, where some are
    true_labels: np.ndarray | None = None  # int32 [N], what `labels` would be without those
    notes: tuple[str, ...] = ()  # said once when a run starts: skipped images, changed data ...
    side: int | None = None  # of images that are square arrays, pixels


@dataclass(frozen=True)
class PairImages:
    """The images and pairs of an evaluation set.

    `encoded` holds N encoded images (bytes) or uint8 arrays [h, w, 3]; pair k compares image
    `first[k]` with `second[k]`; `same[k]` tells whether they show one identity. `groups` names a
    subgroup of each pair, where the list has such a column; `held_out` the identities that training
    must not see, which are taken out of it; `strangers` those that it is refused to have.
    """

    encoded: Sequence[Any]
    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    names: Sequence[str] = ()
    groups: Sequence[str] | None = None
    held_out: frozenset[str] = frozenset()
    strangers: frozenset[str] = frozenset()
    fingerprint: str = ""
    # Size -> uint8 [N, size, size, 3], in place of `encoded`.
    pixels: Callable[[int], np.ndarray] | None = None
    identities: Sequence[str] | None = None  # of each image, where they are known
    notes: tuple[str, ...] = ()  # said once when a run starts
