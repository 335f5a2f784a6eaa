"""Mirroring: the one augmentation that every face recipe has."""

from __future__ import annotations

from workbench.augment.random_bits import Drawn, uniform
from workbench.lazy import tf
from workbench.spec.part import part, setting


@part
class Flip(Drawn):
    """Mirror an image left to right with a probability."""

    probability: float = setting(0.5, at_least=0, at_most=1, doc="share of images mirrored")

    numbers = 1
    quicker_alone = True  # one image is still in the processor's cache; a batch is not

    def draw(self, seeds: tf.Tensor) -> tf.Tensor:
        return uniform(seeds, 1)[..., 0] < self.probability

    def changed(self, image: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        return mirrored(image, chance)  # both made and one chosen: a branch in the graph costs more

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return mirrored(images, self.draw(seeds))


def mirrored(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Return images [..., h, w, 3] mirrored where `chosen` (bool [...], one image or a batch) is true.

    Reverse has a quick way for three dimensions with three channels, and the old Select takes whole
    rows by a condition of one dimension; slicing by -1 and the new Select are ten times slower.
    """
    if images.shape.rank == 3:
        return tf.raw_ops.Select(condition=chosen, x=tf.reverse(images, [1]), y=images)
    shape = tf.shape(images)
    flat = tf.reshape(images, tf.concat([[-1], shape[-2:]], 0))
    turned = tf.reshape(tf.reverse(flat, [1]), shape)
    return tf.raw_ops.Select(condition=chosen, x=turned, y=images)
