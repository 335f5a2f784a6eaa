"""Ways for a data source of your own to return its images: from arrays, files, or anything that yields them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data import decode
from workbench.data.paths import locate
from workbench.data.sources import encoded, in_memory
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.spec.datasets import Images, Places


def images_of_arrays(pixels: Any, labels: Sequence[Any], names: Sequence[str] | None = None) -> Images:
    """Return the images of arrays.

    Args:
        pixels: uint8 [N, h, w] or [N, h, w, 1 or 3], 0 to 255.
        labels: [N] numbers or texts, one an identity.
        names: [N] of the images, for error sheets; None: `identity/number`.

    Raises:
        DataError: Another type or shape, or fewer than two identities.
    """
    pixels, (identities, numbers) = np.asarray(pixels), _numbered(labels)
    in_memory.check_pixels(pixels, "images_of_arrays")
    if len(pixels) != len(numbers):
        raise DataError(
            f"{len(pixels)} images with {len(numbers)} labels", where="images_of_arrays", expected="as many"
        )
    ids = names or [f"{identities[label]}/{number:06d}" for number, label in enumerate(numbers)]
    return in_memory.from_array(pixels, numbers, identities, ids)


def images_of_examples(examples: Iterable[Any], size: int = 112) -> Images:
    """Return the images of a `tf.data.Dataset`, a generator or a list of (image, label), read once into memory.

    Every epoch draws its own order from all images, which a stream does not allow; a batched or endless data set
    is to be made finite and unbatched first.

    Args:
        examples: Of each image uint8 [h, w] or [h, w, 3] of any size, and a number or text, one an identity.
        size: The side at which images are kept, pixels.
    """
    kept: list[np.ndarray] = []
    labels: list[Any] = []
    for image, label in examples:
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
            raise DataError(
                f"example {len(kept)} is {pixels.dtype} {list(pixels.shape)}",
                where="images_of_examples",
                expected="uint8 [h, w] or [h, w, 3]",
                do="unbatch() a batched data set, and scale by 255 what lies in 0..1",
            )
        kept.append(decode.fit_all(pixels[None], size)[0])
        label = np.asarray(label).item()
        labels.append(label.decode() if isinstance(label, bytes) else label)
    if not kept:
        raise DataError("no examples", where="images_of_examples", expected="(image, label) pairs")
    return images_of_arrays(np.stack(kept), labels)


def images_of_files(paths: Sequence[Any], labels: Sequence[Any], places: Places | None = None) -> Images:
    """Return the images of files (JPEG, PNG, BMP, GIF) with a label each, such as two columns of a DataFrame.

    Small sets are kept decoded.

    Args:
        paths: [N] files, absolute or relative.
        labels: [N] numbers or texts, one an identity.
        places: Where relative paths are looked for: what `Source.open` is given. None: the working folder.

    Raises:
        DataError: A file is not there, or the numbers of paths and labels differ.
    """
    identities, numbers = _numbered(labels)
    here = places or Places((Path(),))
    files = [locate(str(path), here, "images_of_files", "a file") for path in paths]
    if len(files) != len(numbers):
        raise DataError(
            f"{len(files)} paths with {len(numbers)} labels", where="images_of_files", expected="as many"
        )
    table = np.array([os.fsencode(file) for file in files], object)
    stored = encoded.Encoded(
        fetch=lambda number: tf.io.read_file(tf.gather(tf.constant(table, tf.string), number)),
        read=lambda number: files[number].read_bytes(),
        labels=numbers,
        identities=identities,
        names=[str(path) for path in paths],
        fingerprint=_fingerprint(paths, files, numbers),
        where="images_of_files",
        place=lambda numbers: tf.gather(tf.constant(table, tf.string), numbers),
        load=lambda path: tf.io.read_file(path),
    )
    return encoded.opened(stored, "auto")


def _numbered(labels: Sequence[Any]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the identities, and labels from 0 on without holes."""
    numbers, values, _ = in_memory.numbered(np.asarray(labels))
    return tuple(str(value) for value in values), numbers


def _fingerprint(paths: Sequence[Any], files: Sequence[Path], labels: np.ndarray) -> str:
    """Return 16 hex digits over names, sizes and labels of all files."""
    digest = hashlib.sha256()
    for path, file, label in zip(paths, files, labels):
        digest.update(f"{path}\0{file.stat().st_size}\0{label}\n".encode())
    return digest.hexdigest()[:16]
