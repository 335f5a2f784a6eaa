"""The operations of AutoAugment and RandAugment on one uint8 image [h, w, 3], pixel for pixel Pillow's.

Each function is the operation of Pillow that has its name (ImageOps, ImageEnhance, Image.transform with
the nearest pixel), rounding included, written with whole numbers wherever Pillow does so. Levels are
turned into arguments by `LEVELS`, the scale of the reference code of both papers: Cubuk et al.,
"AutoAugment" (CVPR 2019, arXiv 1805.09501) and "RandAugment" (NeurIPS 2020, arXiv 1909.13719); level 10
is the strongest that the papers use, more than 10 goes on along the same line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.lazy import Lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")

FILL = 128  # grey level of what geometry moves into the picture


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Return degenerate + factor * (image - degenerate), cut to 0..255 and to whole grey levels."""
    first = tf.cast(degenerate, tf.float32)
    mixed = first + factor * (tf.cast(image, tf.float32) - first)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)


def _grey(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Return the luma [h * w, channels] in float32, the same in each channel.

    ITU-R 601-2 in 16-bit fractions, as a matrix product: every sum is a whole number below 2 ** 24,
    so float32 holds it exactly, and no broadcast over the three channels is needed (a slow one).
    """
    weights = tf.constant([[19595.0] * channels, [38470.0] * channels, [7471.0] * channels])
    flat = tf.reshape(tf.cast(image, tf.float32), [-1, 3])
    return tf.floor((tf.matmul(flat, weights) + 32768.0) * (1 / 65536))


def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Color: 0 is grey, 1 the image."""
    return _blend(tf.reshape(_grey(image, 3), tf.shape(image)), image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Contrast: 0 is the mean grey, 1 the image."""
    grey = tf.cast(_grey(image, 1), tf.int32)
    mean = tf.cast(tf.reduce_sum(grey), tf.float64) / tf.cast(tf.size(grey), tf.float64)
    return _blend(tf.floor(mean + 0.5), image, factor)


def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Brightness: 0 is black, 1 the image."""
    return _blend(tf.constant(0), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Sharpness: 0 is smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, 1 the image; the rim stays."""
    x = tf.cast(image, tf.int32)
    rows = x[:-2] + x[1:-1] + x[2:]
    total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * x[1:-1, 1:-1]
    inner = _blend((total * 2 + 13) // 26, x[1:-1, 1:-1], factor)
    middle = tf.concat([image[1:-1, :1], inner, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], middle, image[-1:]], axis=0)


def _by_table(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replace each grey level by `table` [3, 256] of its channel."""
    flat = tf.reshape(tf.cast(table, tf.uint8), [-1])
    return tf.gather_nd(flat, _positions(image)[..., None])  # for single bytes quicker than gather


def _positions(image: tf.Tensor) -> tf.Tensor:
    """Return each grey level plus 256 times its channel, int32 [h, w, 3]: its place in a table [3 * 256]."""
    offsets: Any = tf.constant([0, 256, 512])
    if image.shape.is_fully_defined():  # a constant of the full shape: adding [3] is a slow broadcast
        offsets = np.broadcast_to(np.array([0, 256, 512], np.int32), image.shape.as_list())
    return tf.cast(image, tf.int32) + offsets


def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """ImageOps.autocontrast: each channel stretched so that it reaches from 0 to 255."""
    low = tf.cast(tf.reduce_min(image, [0, 1]), tf.float64)[:, None]
    high = tf.cast(tf.reduce_max(image, [0, 1]), tf.float64)[:, None]
    levels = tf.range(256, dtype=tf.float64)[None]
    scale = 255.0 / tf.maximum(high - low, 1.0)
    stretched = tf.clip_by_value(tf.floor(levels * scale - low * scale), 0.0, 255.0)
    return _by_table(image, tf.where(high > low, stretched, levels + 0.0 * low))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """ImageOps.equalize: each channel's histogram made flat."""
    flat = tf.reshape(_positions(image), [-1])
    counted = tf.raw_ops.DenseBincount(input=flat, size=768, weights=tf.constant([], tf.int32))
    counts = tf.reshape(counted, [3, 256])
    present = counts > 0
    last = tf.reduce_max(tf.where(present, tf.range(256)[None], -1), -1)
    step = (tf.reduce_sum(counts, -1) - tf.gather(counts, last, batch_dims=1)) // 255
    safe = tf.maximum(step, 1)[:, None]
    table = tf.minimum((safe // 2 + tf.cumsum(counts, axis=-1, exclusive=True)) // safe, 255)
    return _by_table(image, tf.where((step > 0)[:, None], table, tf.range(256)[None]))


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """ImageOps.posterize: keep the `bits` highest bits of each grey level."""
    shift = tf.cast(8 - bits, tf.uint8)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, shift), shift)


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """ImageOps.solarize: invert the grey levels from `threshold` on."""
    return tf.where(tf.cast(image, tf.int32) < threshold, image, 255 - image)


def solarize_add(image: tf.Tensor, addition: tf.Tensor) -> tf.Tensor:
    """Add to the grey levels below 128 (an operation of the reference code; Pillow has none)."""
    x = tf.cast(image, tf.int32)
    return tf.where(x < 128, tf.cast(tf.clip_by_value(x + addition, 0, 255), tf.uint8), image)


def invert(image: tf.Tensor) -> tf.Tensor:
    """ImageOps.invert."""
    return 255 - image


def affine(image: tf.Tensor, matrix: list[Any]) -> tf.Tensor:
    """Image.transform(AFFINE) with the nearest pixel: output (x, y) shows (ax + by + c, dx + ey + f).

    `matrix` is (a, b, c, d, e, f), numbers or scalars. Positions are 16-bit fractions, as in Pillow.
    """
    a, b, c, d, e, f = (tf.cast(value, tf.float64) for value in matrix)

    def fixed(value: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.floor(value * 65536.0 + 0.5), tf.int32)

    height, width = tf.shape(image)[0], tf.shape(image)[1]
    x, y = tf.range(width)[None], tf.range(height)[:, None]
    column = tf.bitwise.right_shift(fixed(c + a * 0.5 + b * 0.5) + x * fixed(a) + y * fixed(b), 16)
    row = tf.bitwise.right_shift(fixed(f + d * 0.5 + e * 0.5) + x * fixed(d) + y * fixed(e), 16)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixels = tf.concat([tf.reshape(image, [-1, 3]), tf.fill([1, 3], tf.constant(FILL, tf.uint8))], 0)
    return tf.gather(pixels, tf.where(inside, row * width + column, height * width))


def shear_x(image: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Move each row by `amount` times its distance from the top."""
    return affine(image, [1, amount, 0, 0, 1, 0])


def shear_y(image: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Move each column by `amount` times its distance from the left."""
    return affine(image, [1, 0, 0, amount, 1, 0])


def translate_x(image: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Move the image by a share of its width."""
    return affine(image, [1, 0, share * tf.cast(tf.shape(image)[1], tf.float32), 0, 1, 0])


def translate_y(image: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Move the image by a share of its height."""
    return affine(image, [1, 0, 0, 0, 1, share * tf.cast(tf.shape(image)[0], tf.float32)])


def rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Image.rotate: turn about the centre, against the clock, corners cut off."""
    angle = -tf.cast(degrees, tf.float64) * 0.017453292519943295
    cosine, sine = _rounded(tf.cos(angle)), _rounded(tf.sin(angle))
    x, y = tf.cast(tf.shape(image)[1], tf.float64) / 2, tf.cast(tf.shape(image)[0], tf.float64) / 2
    return affine(image, [cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y])


def _rounded(value: tf.Tensor) -> tf.Tensor:
    return tf.round(value * 1e15) / 1e15


def _enhanced(operation: Callable[[Any, Any], Any], image: tf.Tensor, level: Any) -> tf.Tensor:
    """Return an enhancement of `image`; a factor known to be 1, as at level 5, leaves it as it is."""
    factor = level * 0.18 + 0.1
    return image if isinstance(factor, float) and factor == 1.0 else operation(image, factor)


def _whole(level: tf.Tensor, most: int, low: int, high: int) -> tf.Tensor:
    return tf.clip_by_value(tf.cast(level * (most / 10), tf.int32), low, high)


Operation = Callable[[Any, Any, Any], Any]

# name: the operation at a level, a number or scalar (0..10 and beyond); `sign` is 1 or -1 where it is free
LEVELS: dict[str, Operation] = {
    "AutoContrast": lambda image, level, sign: autocontrast(image),
    "Equalize": lambda image, level, sign: equalize(image),
    "Invert": lambda image, level, sign: invert(image),
    "Color": lambda image, level, sign: _enhanced(color, image, level),
    "Contrast": lambda image, level, sign: _enhanced(contrast, image, level),
    "Brightness": lambda image, level, sign: _enhanced(brightness, image, level),
    "Sharpness": lambda image, level, sign: _enhanced(sharpness, image, level),
    "Posterize": lambda image, level, sign: posterize(image, _whole(level, 4, 1, 8)),
    "Solarize": lambda image, level, sign: solarize(image, _whole(level, 256, 0, 256)),
    "SolarizeAdd": lambda image, level, sign: solarize_add(image, _whole(level, 110, 0, 255)),
    "ShearX": lambda image, level, sign: shear_x(image, sign * level * 0.03),
    "ShearY": lambda image, level, sign: shear_y(image, sign * level * 0.03),
    "TranslateX": lambda image, level, sign: translate_x(image, sign * level * 0.045),
    "TranslateY": lambda image, level, sign: translate_y(image, sign * level * 0.045),
    "Rotate": lambda image, level, sign: rotate(image, sign * level * 3.0),
}


def apply(
    image: tf.Tensor, names: tuple[str, ...], which: tf.Tensor, level: Any, sign: tf.Tensor
) -> tf.Tensor:
    """Return `image` after operation number `which` (int32 scalar) of `names` at `level`."""

    def branch(name: str) -> Callable[[], tf.Tensor]:
        return lambda: tf.ensure_shape(LEVELS[name](image, level, sign), image.shape)

    return tf.switch_case(which, [branch(name) for name in names])
