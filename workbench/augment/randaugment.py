"""RandAugment: a few operations drawn at random, all at one strength."""

from __future__ import annotations

from workbench.augment import operations
from workbench.augment.random_bits import DrawnBatch
from workbench.lazy import tf
from workbench.spec.part import part, setting

FACE = ("AutoContrast", "Equalize", "Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY")
FACE_STRONG = (*FACE, "Posterize")


@part
class RandAugment(DrawnBatch):
    """`layers` operations in a row, each drawn evenly from `operations`, at strength `magnitude`.

    Cubuk et al., "RandAugment", arXiv 1909.13719. By default the operations that leave a face a face;
    `workbench.augment.randaugment.FACE_STRONG` adds Posterize, which is of use from magnitude 10 on.
    """

    magnitude: float = setting(
        5.0, at_least=0, at_most=30, positional=True, doc="strength; 10 is the papers' strongest"
    )
    layers: int = setting(2, at_least=1, at_most=10, doc="operations in a row")
    operations: tuple[str, ...] = setting(
        FACE, choices=tuple(operations.LEVELS), doc="names of the operations drawn from"
    )

    @property
    def numbers(self) -> int:
        return 2 * self.layers

    def changed_batch(self, images: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        for layer in range(self.layers):
            which = tf.cast(chance[:, 2 * layer] * len(self.operations), tf.int32)
            sign = tf.where(chance[:, 2 * layer + 1] < 0.5, -1.0, 1.0)
            images = operations.apply(images, self.operations, which, float(self.magnitude), sign)
        return images
