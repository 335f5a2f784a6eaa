"""Losses with a fixed margin on the angle between an embedding and the weight of its identity.

All of them replace the target's cosine by t(theta) <= cos(theta) and take the softmax of the scaled
cosines. A margin added to the angle makes cos(theta + m) turn upwards again once theta + m passes pi;
what copies in circulation do beyond that threshold differs, and `beyond` chooses:

- "monotone": t goes on falling, -2 - cos(theta + m), continuous at the threshold. For m1 = 4 this is
  the piecewise function of SphereFace.
- "sine": cos(theta) - m sin(m), of the first ArcFace releases; it jumps at the threshold.
- "cosine": the plain cosine, no margin there; it jumps upwards.

The copies also swap the roles of the three margins. Here, as in the ArcFace paper, m1 multiplies the
angle, m2 is added to the angle (radians), m3 is taken off the cosine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workbench.families import Batch, Head
from workbench.heads.full import Normalised
from workbench.lazy import Lazy
from workbench.losses import angles
from workbench.losses.base import need_cosines, need_radians
from workbench.losses.crossentropy import cross_entropy
from workbench.losses.softmax import LogitsLoss
from workbench.parts import part, setting

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")

Beyond = Literal["monotone", "sine", "cosine"]


@part
class CosineLoss(LogitsLoss):
    """Base of the losses on scaled cosines; the plain case has no margin."""

    scale: float = setting(64.0, above=0, doc="factor s on the cosines")
    head: Head = setting(Normalised(), doc="classification head that gives cosines")

    def check(self) -> None:
        need_cosines(self, self.head)

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        """Return the target's logit, unscaled, for its cosine: any shape, elementwise."""
        return cosine

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        each = cross_entropy(
            batch.logits, batch.targets, margin=self.target, scale=self.scale, smoothing=batch.label_smoothing
        )
        return tf.reduce_mean(each)


def margined(cosine: tf.Tensor, m1: float, m2: Any, m3: float, beyond: Beyond) -> tf.Tensor:
    """Return t = cos(m1 theta + m2) - m3, and what `beyond` says where m1 theta + m2 >= pi."""
    turned = m1 * angles.angle(cosine) + m2
    if beyond == "monotone":
        k = tf.stop_gradient(tf.floor(turned / math.pi))
        return (1.0 - 2.0 * tf.math.floormod(k, 2.0)) * tf.cos(turned) - 2.0 * k - m3
    other = cosine - m2 * tf.sin(m2) if beyond == "sine" else cosine
    return tf.where(turned < math.pi, tf.cos(turned), other) - m3


@part
class ArcFace(CosineLoss):
    """ArcFace: t = cos(theta + m), an angle added to the target's.

    Deng et al., "ArcFace: Additive angular margin loss for deep face recognition", CVPR 2019.
    `form="trig"` computes cos(theta) cos(m) - sin(theta) sin(m) without the inverse cosine.
    """

    term: ClassVar[str] = "arcface_loss"

    margin: float = setting(0.5, doc="m, added to the angle, radians")
    beyond: Beyond = setting("monotone", doc="t where theta + m passes pi")
    form: Literal["acos", "trig"] = setting("acos", doc="how t is computed")

    def check(self) -> None:
        need_cosines(self, self.head)
        need_radians(self, "margin", self.margin)

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        if self.form == "acos":
            return margined(cosine, 1.0, self.margin, 0.0, self.beyond)
        m = self.margin
        t = cosine * math.cos(m) - angles.sine(cosine) * math.sin(m)
        other = {"monotone": -2.0 - t, "sine": cosine - m * math.sin(m), "cosine": cosine}
        return tf.where(cosine > math.cos(math.pi - m), t, other[self.beyond])
