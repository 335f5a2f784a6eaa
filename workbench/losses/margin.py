"""Losses with a fixed margin on the angle between an embedding and the weight of its identity.

All of them replace the target's cosine by t(theta) <= cos(theta) and take the softmax of the scaled
cosines. A margin added to the angle makes cos(theta + m) turn upwards again once theta + m passes pi;
what copies in circulation do beyond that threshold differs, and `beyond` chooses:

- "monotone": t goes on falling, -2 - cos(theta + m), continuous at the threshold. For m1 = 4 this is
  the piecewise function of SphereFace.
- "sine": cos(theta) - m sin(m), of the first ArcFace releases; it jumps at the threshold.
- "cosine": the plain cosine, no margin there; it jumps upwards.

MagFace has two more, for angles that its authors and others leave without a margin:

- "easy": the plain cosine already where cos(theta) <= 0 (their `easy_margin`); it jumps there.
- "minimum": the smaller of cos(theta) and cos(theta + m), of Keras_insightface.

The copies also swap the roles of the three margins. Here, as in the ArcFace paper, m1 multiplies the
angle, m2 is added to the angle (radians), m3 is taken off the cosine.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from workbench.lazy import tf
from workbench.losses import angles
from workbench.losses.softmax import ScaledLoss
from workbench.spec.interfaces import Batch
from workbench.spec.part import part, setting

Beyond = Literal["monotone", "sine", "cosine"]
MagBeyond = Literal["easy", "minimum", "monotone", "sine", "cosine"]  # what `MagFace` offers


def margined(
    cosine: tf.Tensor, beyond: MagBeyond, *, m1: float = 1.0, m2: Any = 0.0, m3: float = 0.0
) -> tf.Tensor:
    """Return t = cos(m1 theta + m2) - m3, and what `beyond` says where m1 theta + m2 >= pi."""
    turned = m1 * angles.angle(cosine) + m2
    if beyond == "easy":
        return tf.where(cosine > 0, tf.cos(turned) - m3, cosine)
    if beyond == "minimum":  # of cosines, so the margin is dropped only where it would make the task easier
        return tf.minimum(tf.cos(turned) - m3, cosine)
    if beyond == "monotone":
        k = tf.stop_gradient(tf.floor(turned / math.pi))
        return (1.0 - 2.0 * tf.math.floormod(k, 2.0)) * tf.cos(turned) - 2.0 * k - m3
    other = cosine - m2 * tf.sin(m2) if beyond == "sine" else cosine
    return tf.where(turned < math.pi, tf.cos(turned), other) - m3


@part
class ArcFace(ScaledLoss):
    """ArcFace: t = cos(theta + m), an angle added to the target's.

    Deng et al., "ArcFace: Additive angular margin loss for deep face recognition", CVPR 2019.
    `form="trig"` computes cos(theta) cos(m) - sin(theta) sin(m) without the inverse cosine.
    """

    term: ClassVar[str] = "arcface_loss"
    radians: ClassVar[tuple[str, ...]] = ("margin",)

    margin: float = setting(0.5, doc="m, added to the angle, radians")
    beyond: Beyond = setting("monotone", doc="t where theta + m passes pi")
    form: Literal["acos", "trig"] = setting("acos", doc="how t is computed")

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        if self.form == "acos":
            return margined(cosine, self.beyond, m2=self.margin)
        m = self.margin
        t = cosine * math.cos(m) - angles.sine(cosine) * math.sin(m)
        other = {"monotone": -2.0 - t, "sine": cosine - m * math.sin(m), "cosine": cosine}
        return tf.where(cosine > math.cos(math.pi - m), t, other[self.beyond])


@part
class CosFace(ScaledLoss):
    """CosFace: t = cos(theta) - m, taken off the target's cosine (a difference of cosines, no angle).

    Wang et al., "CosFace: Large margin cosine loss for deep face recognition", CVPR 2018.
    """

    term: ClassVar[str] = "cosface_loss"

    margin: float = setting(0.35, at_least=0, at_most=1, doc="m, taken off the cosine")

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        return cosine - self.margin


@part
class SphereFace(ScaledLoss):
    """SphereFace on scaled cosines: t = (-1)^k cos(m1 theta) - 2k, k = floor(m1 theta / pi).

    Liu et al., "SphereFace: Deep hypersphere embedding for face recognition", CVPR 2017, where m1 is 4
    and needs annealing; 1.35 is the value that the ArcFace paper compares with.
    """

    term: ClassVar[str] = "sphereface_loss"

    m1: float = setting(1.35, at_least=1, at_most=8, doc="factor on the target's angle")
    beyond: Beyond = setting("monotone", doc="t where m1 theta passes pi")

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        return margined(cosine, self.beyond, m1=self.m1)


@part
class CombinedMargin(ScaledLoss):
    """All three margins: t = cos(m1 theta + m2) - m3.

    Where cos(theta) <= cos((pi - m2)/m1), that is m1 theta + m2 >= pi, t becomes -2 (1 + m3) - t, which
    is continuous there; there is no such place where (pi - m2)/m1 > pi. (Beyond 2 pi, which only
    m1 > 2 - m2/pi reaches, the same step is taken again, so that t falls for all angles.)
    Deng et al., "ArcFace", CVPR 2019, equation 4; its CM1 is (1, 0.3, 0.2), its CM2 (0.9, 0.4, 0.15).
    """

    term: ClassVar[str] = "combined_margin_loss"
    radians: ClassVar[tuple[str, ...]] = ("m2",)

    m1: float = setting(1.0, above=0, at_most=8, doc="factor on the target's angle")
    m2: float = setting(0.3, doc="added to the angle, radians")
    m3: float = setting(0.2, at_least=0, at_most=1, doc="taken off the cosine")
    beyond: Beyond = setting("monotone", doc="t where m1 theta + m2 passes pi")

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        return margined(cosine, self.beyond, m1=self.m1, m2=self.m2, m3=self.m3)


@part
class AirFace(ScaledLoss):
    """AirFace, or Li-ArcFace: logits linear in the angle, z_j = 1 - 2 theta_j / pi.

    The target's is t = 1 - 2 (theta + m) / pi, so it falls evenly over all angles and needs no
    fallback. Li et al., "AirFace: Lightweight and efficient model for face recognition", ICCVW 2019.
    """

    term: ClassVar[str] = "airface_loss"
    radians: ClassVar[tuple[str, ...]] = ("margin",)

    margin: float = setting(0.4, doc="m, added to the angle, radians")

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        return linear(cosine) - 2.0 * self.margin / math.pi

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        turned = batch._replace(logits=linear(batch.logits))
        shift = 2.0 * self.margin / math.pi
        return tf.reduce_mean(self.entropies(turned, margin=lambda z: z - shift, scale=self.scale))


def linear(cosine: tf.Tensor) -> tf.Tensor:
    """Return 1 - 2 theta / pi of cos(theta): 1 at angle 0, -1 at pi."""
    return 1.0 - angles.angle(cosine) * (2.0 / math.pi)
