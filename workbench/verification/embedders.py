"""One interface to whatever gives embeddings: a run, a saved or exported model, embeddings in a file.

An embedder takes an `ImageSet` and returns the embeddings of the images and of their mirror images;
what follows (scores, protocols, search) does not know where they come from.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import DataError
from workbench.security import safe_npz
from workbench.verification import scoring
from workbench.verification.sorted_scores import blocks

BATCH = 128  # images a call, at most


@dataclass(frozen=True)
class ImageSet:
    """Images to embed: `pixels(size)` gives uint8 [N, size, size, 3], made when it is asked for."""

    names: Sequence[str]
    pixels: Callable[[int], np.ndarray]
    fingerprint: str = ""


@dataclass(frozen=True)
class Embedded:
    """Embeddings [N, d] of images and of their mirror images, float32, as the model gave them."""

    plain: np.ndarray
    mirrored: np.ndarray | None
    names: Sequence[str] = ()
    fingerprint: str = ""
    messages: tuple[str, ...] = ()

    @property
    def summed(self) -> np.ndarray:
        """The sum of both, or the plain ones where there are no others."""
        return self.plain if self.mirrored is None else self.plain + self.mirrored


class Embedder(abc.ABC):
    """Gives embeddings of images. `label` says what it is, for headings and messages."""

    label: str = "embedder"

    @abc.abstractmethod
    def embed(self, images: ImageSet) -> Embedded:
        """Return the embeddings; raises `DataError` for output that is not a list of vectors."""


class Network(Embedder):
    """A model that takes images of one size; `call` is uint8 [B, s, s, 3] to (plain, mirrored) [B, d]."""

    def __init__(self, label: str, size: int, call: Callable[[np.ndarray], tuple[Any, Any]]) -> None:
        self.label, self.size, self._call = label, size, call

    def embed(self, images: ImageSet) -> Embedded:
        plain, mirrored = in_batches(self._call, images.pixels(self.size), self.label)
        return Embedded(plain, mirrored, images.names, images.fingerprint, notes_of(plain))


class Saved(Embedder):
    """Embeddings in a file, found by the names of the images."""

    def __init__(self, label: str, embedded: Embedded) -> None:
        self.label, self.embedded = label, embedded

    def embed(self, images: ImageSet) -> Embedded:
        """Return the rows of `images` by name; where the file has no names, by position."""
        found = self.embedded
        rows = self._rows(images) if len(found.names) else np.arange(len(found.plain))
        if len(rows) != len(images.names):
            raise DataError(
                f"{len(found.plain)} embeddings for {len(images.names)} images",
                where=self.label,
                expected="one embedding for each image",
                do="save them with their names",
            )
        mirrored = None if found.mirrored is None else found.mirrored[rows]
        return Embedded(found.plain[rows], mirrored, images.names, images.fingerprint, notes_of(found.plain))

    def _rows(self, images: ImageSet) -> np.ndarray:
        """Return the row of each image by its name; raises `DataError` for other images than those embedded."""
        found = self.embedded
        if found.fingerprint and images.fingerprint and found.fingerprint != images.fingerprint:
            raise DataError(
                "the embeddings are those of other images",
                where=self.label,
                do="embed these images with the model",
            )
        place = {name: row for row, name in enumerate(found.names)}
        missing = [name for name in images.names if name not in place]
        if missing:
            raise DataError(
                f"no embedding of {missing[0]!r} ({len(missing)} of {len(images.names)} are missing)",
                where=self.label,
                expected="an embedding for each image",
            )
        return np.array([place[name] for name in images.names], int)


def notes_of(embeddings: np.ndarray) -> tuple[str, ...]:
    """Return what a reader should know: embeddings that have no direction, lengths other than 1."""
    bad = scoring.unusable(embeddings)
    if bad is not None:
        return (bad,)
    lengths = np.linalg.norm(embeddings[:1000].astype(np.float64), axis=1)  # some of them do for a hint
    if np.abs(lengths - 1).max() > 1e-3:
        return (
            f"embeddings are not normalised (lengths {lengths.min():.3g} to {lengths.max():.3g}); cosines are taken",
        )
    return ()


def filled_up(images: np.ndarray, count: int) -> np.ndarray:
    """Return `count` images: those given, and black ones after them, for a model compiled for one size of batch."""
    return np.concatenate([images, np.zeros((count - len(images), *images.shape[1:]), images.dtype)])


def in_batches(
    call: Callable[[np.ndarray], tuple[Any, Any]], pixels: np.ndarray, label: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return both embeddings [N, d] of `pixels`, in batches of one shape; the last one is filled up."""
    count = len(pixels)
    if not count:
        raise DataError("no images", where=label, expected="at least one image")
    # As even as can be: every other size of a batch would be compiled anew, and what fills the last one up is wasted.
    each = math.ceil(count / math.ceil(count / BATCH))
    parts: list[tuple[Any, Any]] = []
    for part in blocks(count, each):
        parts.append(call(filled_up(pixels[part], each)))
    plain, mirrored = (
        np.concatenate([np.asarray(part[side], np.float32) for part in parts]) for side in (0, 1)
    )
    if plain.ndim != 2 or plain.shape[1] == 0 or len(plain) < count:
        raise DataError(
            f"{len(pixels)} images give an output of shape {list(plain.shape)}",
            where=label,
            expected="an embedding [numbers] for each image",
        )
    return plain[:count], mirrored[:count]


def save(path: Path, embedded: Embedded) -> None:
    """Write embeddings with the names of their images as a compressed `.npz`."""
    arrays = {"plain": embedded.plain, "names": np.array(list(embedded.names), np.str_)}
    if embedded.mirrored is not None:
        arrays["mirrored"] = embedded.mirrored
    with path.open("wb") as file:  # given a path, NumPy adds an ending to a name that has another
        np.savez_compressed(file, fingerprint=np.array(embedded.fingerprint), **arrays)


def load(path: Path) -> Embedded:
    """Return saved embeddings: `plain` (or `embeddings`) [N, d], and where there, `mirrored` and `names`."""
    arrays = safe_npz.load(path, every=True)
    plain = arrays.get("plain", arrays.get("embeddings"))
    mirrored, names = arrays.get("mirrored"), arrays.get("names", np.empty(0, np.str_))
    if plain is None or plain.ndim != 2 or not plain.size or plain.dtype.kind != "f":
        found = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise DataError(
            f"holds {found or 'nothing'}", where=path, expected="an array `plain` of [images, numbers]"
        )
    if (mirrored is not None and mirrored.shape != plain.shape) or (len(names) and len(names) != len(plain)):
        raise DataError("its arrays are of different lengths", where=path, expected="one row for each image")
    if len(set(names.tolist())) < len(names):
        raise DataError("holds a name twice", where=path, expected="different names for the images")
    return Embedded(plain, mirrored, names.tolist(), str(arrays.get("fingerprint", "")))
