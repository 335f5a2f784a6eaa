"""Mirroring: the one augmentation that every face recipe has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.augment.draws import uniform
from workbench.families import Augmentation
from workbench.lazy import Lazy
from workbench.parts import part, setting

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")


@part
class Flip(Augmentation):
    """Mirror an image left to right with a probability."""

    probability: float = setting(0.5, at_least=0, at_most=1, doc="share of images mirrored")

    def image(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.cond(uniform(seed, 1)[0] < self.probability, lambda: image[:, ::-1], lambda: image)

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        chosen = uniform(seeds, 1) < self.probability
        return tf.where(chosen[:, None, None], images[:, :, ::-1], images)
