"""Small moves of the whole image: rotation, zoom, shear and shift in one resampling."""

from __future__ import annotations

import math
from typing import Any

from workbench.augment.random_bits import Batched, uniform
from workbench.lazy import tf
from workbench.spec.part import part, setting

RADIANS = math.pi / 180  # a degree


@part
class Affine(Batched):
    """Rotate, zoom, shear and shift by random amounts, bilinear; what comes in from outside repeats the rim.

    Each amount is drawn evenly between minus and plus its setting; 0 leaves that move out.
    """

    rotation: float = setting(0.0, at_least=0, at_most=180, doc="greatest turn, degrees")
    zoom: float = setting(0.0, at_least=0, below=1, doc="greatest change of size, share")
    shift: float = setting(0.0, at_least=0, at_most=1, doc="greatest move in x and in y, share of the side")
    shear: float = setting(
        0.0,
        at_least=0,
        below=90,
        later=True,
        doc="greatest angle by which the upright leans, degrees, as in Keras",
    )

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        chance = uniform(seeds, 5, -1.0, 1.0)
        shape = tf.cast(tf.shape(images), tf.float32)
        return warped(
            images,
            degrees=self.rotation * chance[:, 0],
            scale=1 + self.zoom * chance[:, 1],
            right=self.shift * chance[:, 2] * shape[2],
            down=self.shift * chance[:, 3] * shape[1],
            lean=self.shear * chance[:, 4] if self.shear else None,
        )


def warped(images: tf.Tensor, degrees: Any, scale: Any, right: Any, down: Any, lean: Any = None) -> tf.Tensor:
    """Return uint8 images [B, h, w, 3] sheared, turned against the clock about the centre, enlarged and moved.

    Each amount is float32 [B]; lengths are pixels, angles degrees. `lean` shears as Keras's preprocessing
    does: the place (x, y) about the centre shows (x - y sin(lean), y cos(lean)). Bilinear, rounded to whole
    grey levels.
    """
    angle = degrees * RADIANS
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    first, second = -sine, cosine  # what y gives to the column and to the row that are shown
    if lean is not None:
        moved, low = tf.sin(lean * RADIANS), tf.cos(lean * RADIANS)
        first, second = -(cosine * moved + sine * low), cosine * low - sine * moved
    shape = tf.cast(tf.shape(images), tf.float32)
    x, y = (shape[2] - 1) / 2, (shape[1] - 1) / 2
    zero = tf.zeros_like(cosine)
    c = x - cosine * (x + right) - first * (y + down)
    f = y - sine * (x + right) - second * (y + down)
    matrix = tf.stack([cosine, first, c, sine, second, f, zero, zero], axis=-1)
    shown = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=matrix,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(tf.saturate_cast(tf.round(shown), tf.uint8), images.shape)
