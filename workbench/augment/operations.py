"""The operations of AutoAugment and RandAugment on uint8 images [B, h, w, 3], pixel for pixel Pillow's.

Each function is the operation of Pillow that has its name (ImageOps, ImageEnhance, Image.transform with
the nearest pixel), rounding included, written with whole numbers wherever Pillow does so; an argument is
one number, or one for each image ([B]). Levels are turned into arguments by `LEVELS`, the scale of the
reference code of both papers: Cubuk et al., "AutoAugment" (CVPR 2019, arXiv 1805.09501) and "RandAugment"
(NeurIPS 2020, arXiv 1909.13719); level 10 is the strongest that the papers use, more goes on along the same line.

They work on batches, because the small operations on one image cost more than its pixels do; `apply`
gives each operation the images that drew it, and those that change nothing cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from workbench.lazy import tf

FILL = 128  # grey level of what geometry moves into the picture


def _each(value: Any, rank: int = 4) -> Any:
    """Return an argument so that it meets images: one number as it is, [B] as [B, 1, 1, ...]."""
    if isinstance(value, (int, float)) or len(value.shape) == 0:
        return value
    return tf.reshape(value, [-1] + [1] * (rank - 1))


def _blend(degenerate: tf.Tensor, images: tf.Tensor, factor: Any) -> tf.Tensor:
    """Return degenerate + factor * (images - degenerate), cut to 0..255 and to whole grey levels."""
    first = tf.cast(degenerate, tf.float32)
    mixed = first + _each(factor) * (tf.cast(images, tf.float32) - first)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)


def _grey(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Return the luma [B * h * w, channels] in float32, the same in each channel.

    ITU-R 601-2 in 16-bit fractions, as a matrix product: every sum is a whole number below 2 ** 24,
    so float32 holds it exactly, and no broadcast over the three channels is needed (a slow one).
    """
    weights = tf.constant([[19595.0] * channels, [38470.0] * channels, [7471.0] * channels])
    flat = tf.reshape(tf.cast(images, tf.float32), [-1, 3])
    return tf.floor((tf.matmul(flat, weights) + 32768.0) * (1 / 65536))


def color(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """ImageEnhance.Color: 0 is grey, 1 the image."""
    return _blend(tf.reshape(_grey(images, 3), tf.shape(images)), images, factor)


def contrast(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """ImageEnhance.Contrast: 0 is the mean grey, 1 the image."""
    area = tf.shape(images)[1] * tf.shape(images)[2]
    grey = tf.reshape(tf.cast(_grey(images, 1), tf.int32), [-1, area])
    mean = tf.cast(tf.reduce_sum(grey, -1), tf.float64) / tf.cast(area, tf.float64)
    return _blend(_each(tf.floor(mean + 0.5)), images, factor)


def brightness(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """ImageEnhance.Brightness: 0 is black, 1 the image."""
    return tf.cast(tf.clip_by_value(_each(factor) * tf.cast(images, tf.float32), 0.0, 255.0), tf.uint8)


def sharpness(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """ImageEnhance.Sharpness: 0 is smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, 1 the image; the rim stays."""
    x = tf.cast(images, tf.int32)
    rows = x[:, :-2] + x[:, 1:-1] + x[:, 2:]
    inside = x[:, 1:-1, 1:-1]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * inside
    inner = _blend((total * 2 + 13) // 26, inside, factor)
    middle = tf.concat([images[:, 1:-1, :1], inner, images[:, 1:-1, -1:]], axis=2)
    return tf.concat([images[:, :1], middle, images[:, -1:]], axis=1)


def _positions(images: tf.Tensor) -> tf.Tensor:
    """Return the place of each grey level in one table [B * 3 * 256], int32 [B, h * w * 3]."""
    shape = tf.shape(images)
    channel = tf.tile(tf.constant([0, 256, 512]), [shape[1] * shape[2]])
    flat = tf.reshape(tf.cast(images, tf.int32), [shape[0], -1])
    return flat + channel + 768 * tf.range(shape[0])[:, None]


def _by_table(images: tf.Tensor, positions: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Replace each grey level by that of `tables` [B, 3, 256]."""
    flat = tf.reshape(tf.cast(tables, tf.uint8), [-1])
    found = tf.gather_nd(flat, positions[..., None])  # for single bytes quicker than gather
    return tf.reshape(found, tf.shape(images))


def _counts(positions: tf.Tensor) -> tf.Tensor:
    """Return how often each grey level occurs in each channel, int32 [B, 3, 256]."""
    flat, size = tf.reshape(positions, [-1]), 768 * tf.shape(positions)[0]
    counted = tf.raw_ops.DenseBincount(input=flat, size=size, weights=tf.constant([], tf.int32))
    return tf.reshape(counted, [-1, 3, 256])


def autocontrast(images: tf.Tensor) -> tf.Tensor:
    """ImageOps.autocontrast: each channel stretched so that it reaches from 0 to 255."""
    return _tabled(images, _stretched)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """ImageOps.equalize: each channel's histogram made flat."""
    return _tabled(images, _flattened)


def _tabled(images: tf.Tensor, table: Callable[[Any], Any]) -> tf.Tensor:
    positions = _positions(images)
    return _by_table(images, positions, table(_counts(positions)))


def _stretched(counts: tf.Tensor) -> tf.Tensor:
    """Return the tables of autocontrast [B, 3, 256] from the histograms."""
    present, levels = counts > 0, tf.range(256)
    low = tf.cast(tf.reduce_min(tf.where(present, levels, 255), -1), tf.float64)[..., None]
    high = tf.cast(tf.reduce_max(tf.where(present, levels, 0), -1), tf.float64)[..., None]
    levels = tf.cast(levels, tf.float64)
    scale = 255.0 / tf.maximum(high - low, 1.0)
    stretched = tf.clip_by_value(tf.floor(levels * scale - low * scale), 0.0, 255.0)
    return tf.cast(tf.where(high > low, stretched, levels), tf.int32)


def _flattened(counts: tf.Tensor) -> tf.Tensor:
    """Return the tables of equalize [B, 3, 256] from the histograms."""
    levels = tf.range(256)
    last = tf.reduce_max(tf.where(counts > 0, levels, 0), -1)
    step = (tf.reduce_sum(counts, -1) - tf.gather(counts, last, batch_dims=2)) // 255
    safe = tf.maximum(step, 1)[..., None]
    table = tf.minimum((safe // 2 + tf.cumsum(counts, axis=-1, exclusive=True)) // safe, 255)
    return tf.where((step > 0)[..., None], table, levels)


def posterize(images: tf.Tensor, bits: Any) -> tf.Tensor:
    """ImageOps.posterize: keep the `bits` highest bits of each grey level."""
    kept = 256 - tf.bitwise.left_shift(tf.ones_like(bits), 8 - bits)
    return tf.bitwise.bitwise_and(images, _each(tf.cast(kept, tf.uint8)))


def solarize(images: tf.Tensor, threshold: Any) -> tf.Tensor:
    """ImageOps.solarize: invert the grey levels from `threshold` on."""
    return tf.where(tf.cast(images, tf.int32) < _each(threshold), images, 255 - images)


def solarize_add(images: tf.Tensor, addition: Any) -> tf.Tensor:
    """Add to the grey levels below 128 (an operation of the reference code; Pillow has none)."""
    x = tf.cast(images, tf.int32)
    return tf.where(x < 128, tf.cast(tf.clip_by_value(x + _each(addition), 0, 255), tf.uint8), images)


def invert(images: tf.Tensor) -> tf.Tensor:
    """ImageOps.invert."""
    return 255 - images


def affine(images: tf.Tensor, matrix: list[Any]) -> tf.Tensor:
    """Image.transform(AFFINE) with the nearest pixel: output (x, y) shows (ax + by + c, dx + ey + f).

    `matrix` is (a, b, c, d, e, f), each one number or [B]. Positions are 16-bit fractions, as in Pillow.
    """
    count, height, width = (tf.shape(images)[axis] for axis in range(3))
    a, b, c, d, e, f = (tf.cast(_each(value, 3), tf.float64) for value in matrix)

    def fixed(value: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.floor(value * 65536.0 + 0.5), tf.int32)

    x, y = tf.range(width)[None, None], tf.range(height)[None, :, None]
    column = (fixed(c + a * 0.5 + b * 0.5) + y * fixed(b)) + x * fixed(a)
    row = (fixed(f + d * 0.5 + e * 0.5) + y * fixed(e)) + x * fixed(d)
    column, row = (tf.bitwise.right_shift(value, 16) for value in (column, row))
    inside = _below(column, width) & _below(row, height)  # as broad as the matrix asks for
    pixels = tf.concat([tf.reshape(images, [-1, 3]), tf.fill([1, 3], tf.constant(FILL, tf.uint8))], 0)
    first = (tf.range(count) * (height * width))[:, None, None]
    place = tf.where(inside, row * width + (column + first), count * height * width)
    return tf.gather_nd(pixels, place[..., None])


def _below(value: tf.Tensor, bound: tf.Tensor) -> tf.Tensor:
    """Tell where 0 <= value < bound, by one comparison: as unsigned a negative number is large."""
    return tf.bitcast(value, tf.uint32) < tf.cast(bound, tf.uint32)


def shear_x(images: tf.Tensor, amount: Any) -> tf.Tensor:
    """Move each row by `amount` times its distance from the top."""
    return affine(images, [1, amount, 0, 0, 1, 0])


def shear_y(images: tf.Tensor, amount: Any) -> tf.Tensor:
    """Move each column by `amount` times its distance from the left."""
    return affine(images, [1, 0, 0, amount, 1, 0])


def translate_x(images: tf.Tensor, share: Any) -> tf.Tensor:
    """Move the image by a share of its width."""
    return affine(images, [1, 0, share * tf.cast(tf.shape(images)[2], tf.float32), 0, 1, 0])


def translate_y(images: tf.Tensor, share: Any) -> tf.Tensor:
    """Move the image by a share of its height."""
    return affine(images, [1, 0, 0, 0, 1, share * tf.cast(tf.shape(images)[1], tf.float32)])


def rotate(images: tf.Tensor, degrees: Any) -> tf.Tensor:
    """Image.rotate: turn about the centre, against the clock, corners cut off."""
    angle = -tf.cast(degrees, tf.float64) * (math.pi / 180)
    cosine, sine = _rounded(tf.cos(angle)), _rounded(tf.sin(angle))
    x, y = (tf.cast(tf.shape(images)[axis], tf.float64) / 2 for axis in (2, 1))
    return affine(images, [cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y])


def _rounded(value: tf.Tensor) -> tf.Tensor:
    """Return a sine or cosine to 15 places, as Pillow rounds them: at a right angle one is 0, not 6e-17."""
    return tf.round(value * 1e15) / 1e15


def _whole(level: Any, most: int, low: int, high: int) -> tf.Tensor:
    return tf.clip_by_value(tf.cast(level * (most / 10), tf.int32), low, high)


Operation = Callable[[Any, Any, Any], Any]

# name: the operation at a level, one number or [B] (0..10 and beyond); `sign` [B] is 1 or -1 where it is free
LEVELS: dict[str, Operation] = {
    "AutoContrast": lambda images, level, sign: autocontrast(images),
    "Equalize": lambda images, level, sign: equalize(images),
    "Invert": lambda images, level, sign: invert(images),
    "Color": lambda images, level, sign: color(images, level * 0.18 + 0.1),
    "Contrast": lambda images, level, sign: contrast(images, level * 0.18 + 0.1),
    "Brightness": lambda images, level, sign: brightness(images, level * 0.18 + 0.1),
    "Sharpness": lambda images, level, sign: sharpness(images, level * 0.18 + 0.1),
    "Posterize": lambda images, level, sign: posterize(images, _whole(level, 4, 1, 8)),
    "Solarize": lambda images, level, sign: solarize(images, _whole(level, 256, 0, 256)),
    "SolarizeAdd": lambda images, level, sign: solarize_add(images, _whole(level, 110, 0, 255)),
    "ShearX": lambda images, level, sign: shear_x(images, sign * level * 0.03),
    "ShearY": lambda images, level, sign: shear_y(images, sign * level * 0.03),
    "TranslateX": lambda images, level, sign: translate_x(images, sign * level * 0.045),
    "TranslateY": lambda images, level, sign: translate_y(images, sign * level * 0.045),
    "Rotate": lambda images, level, sign: rotate(images, sign * level * 3.0),
}
ENHANCED = ("Color", "Contrast", "Brightness", "Sharpness")
NEUTRAL = 5.0  # the level at which an enhancement's factor is 1: the image stays as it is


def apply(
    images: tf.Tensor, names: tuple[str, ...], which: tf.Tensor, level: Any, sign: tf.Tensor
) -> tf.Tensor:
    """Return uint8 images [B, h, w, 3], each after operation `which` (int32 [B]; below 0 none) of `names`.

    `level` is a number or float32 [B], `sign` float32 [B]. Images are parted by their operation and put
    together again in their places, so that none pays for an operation that it did not draw.
    """
    idle = isinstance(level, float) and level == NEUTRAL
    places, results = [], []
    for number, name in enumerate(names):
        if idle and name in ENHANCED:
            continue
        chosen = tf.where(tf.equal(which, number))
        strength = level if isinstance(level, float) else tf.gather_nd(level, chosen)
        places.append(chosen)
        results.append(LEVELS[name](tf.gather_nd(images, chosen), strength, tf.gather_nd(sign, chosen)))
    if not places:
        return images
    changed = tf.tensor_scatter_nd_update(images, tf.concat(places, 0), tf.concat(results, 0))
    return tf.ensure_shape(changed, images.shape)
