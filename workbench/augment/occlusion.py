"""Hiding parts of an image, so that no single part of a face is relied on."""

from __future__ import annotations

from typing import Literal

from workbench.augment.random_bits import Batched, noise, uniform
from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.part import part, setting


def _inside(
    height: tf.Tensor, width: tf.Tensor, top: tf.Tensor, bottom: tf.Tensor, left: tf.Tensor, right: tf.Tensor
) -> tf.Tensor:
    """Return a mask [..., h, w, 1]: rows top <= y < bottom and columns left <= x < right (whole numbers [...])."""
    y, x = tf.range(height)[:, None, None], tf.range(width)[None, :, None]
    top, bottom, left, right = (value[..., None, None, None] for value in (top, bottom, left, right))
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)


@part
class Cutout(Batched):
    """A grey square at a random place, cut off at the rim (DeVries and Taylor, arXiv 1708.04552)."""

    size: float = setting(0.35, above=0, at_most=1, doc="side of the square, share of the image's side")
    probability: float = setting(1.0, at_least=0, at_most=1, doc="share of images changed")
    grey: int = setting(128, at_least=0, at_most=255, doc="grey level of the square")

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        chance = uniform(seeds, 3)
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        side = tf.cast(tf.round(self.size * tf.cast(tf.minimum(height, width), tf.float32)), tf.int32)
        top = tf.cast(chance[:, 1] * tf.cast(height, tf.float32), tf.int32) - side // 2
        left = tf.cast(chance[:, 2] * tf.cast(width, tf.float32), tf.int32) - side // 2
        hidden = _inside(height, width, top, top + side, left, left + side)
        hidden = hidden & (chance[:, 0] < self.probability)[:, None, None, None]
        return tf.where(hidden, tf.constant(self.grey, tf.uint8), images)


@part
class LowerFaceMask(Batched):
    """The lower two fifths of a face hidden, as by a mask, with a probability."""

    probability: float = setting(0.5, at_least=0, at_most=1, doc="share of images changed")
    grey: int = setting(128, at_least=0, at_most=255, doc="grey level of the mask")

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        height = tf.shape(images)[1]
        below = tf.range(height) >= height - (2 * height) // 5
        hidden = below[None, :, None, None] & (uniform(seeds, 1) < self.probability)[:, :, None, None]
        return tf.where(hidden, tf.constant(self.grey, tf.uint8), images)


@part
class RandomErasing(Batched):
    """A rectangle of random area, aspect and place filled with noise (Zhong et al., arXiv 1708.04896).

    A rectangle that does not fit is cut to the image's side, where the paper draws again.
    """

    probability: float = setting(0.5, at_least=0, at_most=1, doc="share of images changed")
    smallest: float = setting(0.02, above=0, below=1, doc="least area, share of the image")
    largest: float = setting(0.4, above=0, at_most=1, doc="greatest area, share of the image")
    aspect: float = setting(
        0.3, above=0, at_most=1, doc="least ratio of the sides; the greatest is 1 / aspect"
    )
    fill: Literal["noise", "grey"] = setting("noise", doc="what is put there")

    def check(self) -> None:
        if self.smallest > self.largest:
            raise SpecError(
                f"smallest={self.smallest} above largest={self.largest}",
                where="RandomErasing",
                expected="smallest <= largest",
            )

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        chance = uniform(seeds, 6)
        shape = tf.shape(images)
        tall, wide = tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)
        area = (self.smallest + (self.largest - self.smallest) * chance[:, 1]) * tall * wide
        # the paper draws the ratio evenly between aspect and 1 / aspect
        ratio = self.aspect + (1 / self.aspect - self.aspect) * chance[:, 2]
        height = tf.minimum(tf.round(tf.sqrt(area * ratio)), tall)
        width = tf.minimum(tf.round(tf.sqrt(area / ratio)), wide)
        top = tf.cast(tf.floor(chance[:, 3] * (tall - height + 1)), tf.int32)
        left = tf.cast(tf.floor(chance[:, 4] * (wide - width + 1)), tf.int32)
        bottom, right = top + tf.cast(height, tf.int32), left + tf.cast(width, tf.int32)
        hidden = _inside(shape[1], shape[2], top, bottom, left, right)
        hidden = hidden & (chance[:, 0] < self.probability)[:, None, None, None]
        return tf.where(hidden, self._content(images, seeds), images)

    def _content(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        if self.fill == "grey":
            return tf.constant(128, tf.uint8)
        return noise(seeds, images.shape[1], images.shape[2])
