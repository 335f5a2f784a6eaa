"""Faces in raw photographs moved to the field's template by five landmarks; no detector of our own.

The similarity transform (turn, one scale, shift) is the least-squares one of S. Umeyama, "Least-squares
estimation of transformation parameters between two point patterns", IEEE PAMI 13 (1991), equations 38
to 43, without reflection.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import DataError
from workbench.security.foreign_names import within

if TYPE_CHECKING:
    from PIL import Image

# eyes, tip of the nose, corners of the mouth; left and right as seen in the picture; pixels of 112 x 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.729904, 92.2041]]
)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the matrix [2, 3] of the similarity that moves points `source` [n, 2] best to `target` [n, 2].

    Raises `ValueError` where all points of `source` fall together.
    """
    mean_x, mean_y = source.mean(0), target.mean(0)
    x, y = source - mean_x, target - mean_y
    variance = (x**2).sum() / len(x)
    if variance < 1e-12:
        raise ValueError("points fall together")
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    s = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * s) @ vt
    scale = (d * s).sum() / variance
    return np.column_stack([scale * rotation, mean_y - scale * rotation @ mean_x])


def aligned(photo: Image.Image, landmarks: np.ndarray, size: int = 112) -> Image.Image:
    """Return the face of `photo` at `size` x `size`, its `landmarks` [5, 2] (pixels) at the template's.

    Bilinear, black where the photograph has no pixels, as the field's own crops are made (OpenCV's
    `warpAffine`): training sets and protocols aligned here are those of the published results. Only photographs
    three times larger than the result or more are reduced first, where bilinear sampling would skip pixels.
    """
    from PIL import Image

    matrix = similarity(landmarks, TEMPLATE * (size / 112))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    factor = max(1, int(0.6 / scale)) if scale > 0 else 1
    reduced = photo.convert("RGB")
    if factor > 1:
        reduced = reduced.reduce(factor)
    whole = np.vstack([matrix, [0, 0, 1]])
    inverse = np.linalg.inv(whole)[:2]
    # landmarks count from pixel centres, Pillow from pixel corners: half a pixel at either end
    a, b, c = inverse[0] @ _half(-0.5)
    d, e, f = inverse[1] @ _half(-0.5)
    coefficients = [v / factor for v in (a, b, c + 0.5, d, e, f + 0.5)]
    return reduced.transform(
        (size, size), Image.Transform.AFFINE, coefficients, resample=Image.Resampling.BILINEAR
    )


def aligned_file(path: Path, landmarks: np.ndarray, size: int) -> np.ndarray:
    """Return `aligned` of an image file as uint8 [size, size, 3]; raises `DataError` where it is missing or broken."""
    with _opened(path) as photo:
        return np.asarray(aligned(photo, landmarks, size))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a photograph; what goes wrong until the block ends, decoding included, is a `DataError` that names it."""
    from PIL import Image

    try:
        with Image.open(path) as photo:
            yield photo
    except FileNotFoundError as error:
        raise DataError("is not there", where=path, expected="an image of the list") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError("cannot be decoded", where=path, expected="a complete image") from error
    except ValueError as error:  # of `similarity`
        raise DataError(
            f"cannot be aligned: {error}", where=path, expected="five different points"
        ) from error


def _half(offset: float) -> np.ndarray:
    return np.array([[1, 0, offset], [0, 1, offset], [0, 0, 1]])


def read_landmarks(path: Path) -> dict[str, np.ndarray]:
    """Return the landmarks [5, 2] of each image, by its path relative to the folder.

    A line is the path and x, y of left eye, right eye, nose, left and right corner of the mouth, parted
    by commas, tabs or spaces; up to two lines of headings may come first. Raises `DataError` by line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "cannot be read as text", where=path, expected="path and ten numbers a line"
        ) from error
    found: dict[str, np.ndarray] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        words = [w.strip() for w in re.split("[,\t]", line)] if re.search("[,\t]", line) else line.split()
        values = _numbers(words[1:])
        if values is None:
            if number <= 2 and not found:
                continue
            raise DataError(f"{line[:60]!r}", where=f"{path}:{number}", expected="a path and ten numbers")
        if words[0] in found:
            raise DataError(f"names {words[0]!r} a second time", where=f"{path}:{number}")
        found[words[0]] = values
    if not found:
        raise DataError("holds no landmarks", where=path, expected="path and ten numbers a line")
    return found


def _numbers(words: list[str]) -> np.ndarray | None:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        return None
    return values.reshape(5, 2) if values.shape == (10,) and np.isfinite(values).all() else None


def align_folder(folder: Path, landmarks: dict[str, np.ndarray], target: Path, size: int) -> list[str]:
    """Write every image that has landmarks to `target` as PNG, aligned; return their names.

    Raises `DataError` for an image that is missing or broken and for landmarks outside of it.
    """
    done: dict[str, str] = {}
    for name, points in landmarks.items():
        source = within(folder, name, where=folder, what="landmarks of", error=DataError)
        if not source.is_file():
            raise DataError(f"landmarks of {name!r}, which is not in {folder}", where=folder)
        with _opened(source) as photo:
            if (points < -photo.width).any() or (points > 2 * np.array(photo.size)).any():
                words = f"landmarks far outside of {name} ({photo.width} x {photo.height})"
                raise DataError(words, expected="pixels")
            result = aligned(photo, points, size)
        made = str(PurePosixPath(name).with_suffix(".png"))
        if made in done:
            raise DataError(f"{done[made]!r} and {name!r} would both become {made}", where=folder)
        place = within(target, made, where=target, error=DataError)
        place.parent.mkdir(parents=True, exist_ok=True)
        result.save(place)
        done[made] = name
    return list(done)
