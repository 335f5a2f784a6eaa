"""Mixup: each image blended with another of its batch, and their labels with it."""

from __future__ import annotations

from typing import Any, NamedTuple

from workbench.augment.random_bits import uniform
from workbench.lazy import tf
from workbench.spec.interfaces import Augmentation
from workbench.spec.part import part, setting


class MixedLabels(NamedTuple):
    """Labels of blended images: the loss is share * L(labels) + (1 - share) * L(partners)."""

    labels: Any  # int32 [B]
    partners: Any  # int32 [B]
    share: Any  # float32 scalar, the weight of `labels`


@part
class Mixup(Augmentation):
    """Blend a batch with a permutation of itself (Zhang et al., "mixup", arXiv 1710.09412).

    x = s x_i + (1 - s) x_j with one s ~ Beta(alpha, alpha) a batch, as in the paper's own code; the
    loss is blended with the same s. In sharded training each worker mixes its part of the batch.
    """

    alpha: float = setting(0.2, above=0, positional=True, doc="of the Beta distribution; 1 mixes evenly")

    def batch(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, MixedLabels]:
        share = beta(seed, self.alpha)
        partner = tf.argsort(uniform(seed, images.shape[0]))
        mixed = share * images + (1 - share) * tf.gather(images, partner)
        return mixed, MixedLabels(labels, tf.gather(labels, partner), share)


def beta(seed: tf.Tensor, alpha: float) -> tf.Tensor:
    """Return one float32 number ~ Beta(alpha, alpha): the first of two Gammas over their sum.

    In logarithms, because both Gammas of a small alpha may be too small for float32.
    """
    g = tf.random.stateless_gamma([2], seed, alpha=tf.constant(alpha + 1, tf.float64), dtype=tf.float64)
    # Gamma(a) = Gamma(a + 1) * U ** (1 / a)  (Marsaglia and Tsang 2000)
    u = tf.random.stateless_uniform([2], seed + 1, dtype=tf.float64, minval=1e-300)
    logs = tf.math.log(g) + tf.math.log(u) / alpha
    return tf.cast(tf.math.sigmoid(logs[0] - logs[1]), tf.float32)
