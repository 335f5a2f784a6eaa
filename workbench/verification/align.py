"""A face to the upright square a network was trained on, by five landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.errors import DataError

# Where eyes, nose and corners of the mouth lie in the field's aligned images of 112 x 112 pixels.
PLACES_112 = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])  # fmt: skip


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return [2, 3] of the rotation, scaling and shift that brings `source` [n, 2] nearest to `target`.

    Least squares over a z + b with complex a and b, z = x + iy: a = sum(conj(z') w') / sum(|z'|^2) with
    z', w' taken from their means. Reflections are not possible in this form.
    """
    z, w = source @ (1, 1j), target @ (1, 1j)
    centred = z - z.mean()
    a = (centred.conj() @ (w - w.mean())) / (centred.conj() @ centred).real
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def aligned(path: Path, landmarks: np.ndarray, size: int) -> np.ndarray:
    """Return uint8 [size, size, 3]: the image turned so that its `landmarks` [5, 2] lie at their places.

    Bilinear; black where the image has no pixels. Raises `DataError` for an image that is missing or
    broken. Landmarks count from the centre of the first pixel.
    """
    from PIL import Image

    back = similarity(PLACES_112 * (size / 112), landmarks)  # from the square to the image
    # Pillow's coordinates start at the corner of the first pixel, half a pixel before its centre.
    shift = back[:, 2] + 0.5 - back[:, :2] @ (0.5, 0.5)
    coefficients = (*back[0, :2], shift[0], *back[1, :2], shift[1])
    try:
        with Image.open(path) as image:
            turned = image.convert("RGB").transform(
                (size, size),
                Image.Transform.AFFINE,
                tuple(map(float, coefficients)),
                Image.Resampling.BILINEAR,
            )
    except FileNotFoundError as error:
        raise DataError("is not there", where=path, expected="an image of the list") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError("cannot be decoded", where=path, expected="a complete image") from error
    return np.asarray(turned)
