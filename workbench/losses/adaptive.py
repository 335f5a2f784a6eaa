"""Losses whose margin, scale or hard examples follow the training: moving state, or the norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from workbench.distribute import collectives
from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.losses import angles
from workbench.losses.base import identities
from workbench.losses.crossentropy import pick, put
from workbench.losses.margin import Beyond, MagBeyond, margined
from workbench.losses.softmax import CosineLoss, ScaledLoss
from workbench.models.heads.partial_fc import Sampled
from workbench.models.heads.weights import Slot
from workbench.spec.interfaces import Batch
from workbench.spec.part import part, setting

if TYPE_CHECKING:
    import numpy as np


def norms(embeddings: tf.Tensor) -> tf.Tensor:
    """Return |x_i|, [B], of embeddings [B, d]; its gradient at a zero vector is zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(embeddings), axis=1), 1e-12))


@part
class CurricularFace(ScaledLoss):
    """CurricularFace: hard negatives weigh little at first and more as the training goes.

    The target is ArcFace's, t_y = cos(theta_y + m). A negative with cos_j > t_y counts as
    cos_j (t + cos_j), where t starts at 0 and follows the mean cosine of the targets:
    t = keep * t + (1 - keep) * mean(cos_y), updated before it is used. Huang et al.,
    "CurricularFace: Adaptive curriculum learning loss for deep face recognition", CVPR 2020.
    """

    term: ClassVar[str] = "curricularface_loss"
    radians: ClassVar[tuple[str, ...]] = ("margin",)
    batch_statistics: ClassVar[str | None] = "mean cosine of the targets"

    margin: float = setting(0.5, doc="m, added to the angle, radians")
    keep: float = setting(0.99, at_least=0, below=1, doc="share of t kept at a step")
    beyond: Beyond = setting("monotone", doc="t_y where theta + m passes pi")

    def slots(self, classes: int, size: int, batch_size: int, teacher: int | None) -> dict[str, Slot]:
        return {"t": Slot((), 0.0, trained=False)}

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        return margined(cosine, self.beyond, m2=self.margin)

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        cosine = tf.stop_gradient(pick(batch.logits, batch.targets))
        t = tf.convert_to_tensor(state["t"])
        if batch.training:
            t = self.keep * t + (1.0 - self.keep) * collectives.mean(tf.reduce_mean(cosine))
            state["t"].assign(t)
        threshold = tf.cos(angles.angle(cosine) + self.margin)
        changed = batch._replace(logits=hardened(batch.logits, batch.targets, threshold, t))
        return super().value(changed, state)


def hardened(cosines: tf.Tensor, targets: tf.Tensor, threshold: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Return `cosines` [B, C] with c_j (t + c_j) for each other identity's c_j > threshold_i [B]."""

    @tf.custom_gradient
    def function(c: tf.Tensor) -> tuple[tf.Tensor, Any]:
        hard = c > threshold[:, tf.newaxis]
        changed = tf.where(hard, c * (t + c), c)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            slope = tf.where(hard, upstream * (t + 2.0 * c), upstream)
            return put(slope, targets, pick(upstream, targets))

        return put(changed, targets, pick(c, targets)), gradient

    return function(cosines)


@part
class MagFace(ScaledLoss):
    """MagFace: the margin grows with the norm a = |x| of the embedding, and norms are drawn upwards.

    a is clipped to lower_norm..upper_norm; m(a) runs linearly from lower_margin to upper_margin; the
    target is t = cos(theta + m(a)); added is regulariser * g(a) with g(a) = a / upper_norm^2 + 1/a.
    Gradients flow through m(a) and g(a). Meng et al., "MagFace: A universal representation for face
    recognition and quality assessment", CVPR 2021. Its code drops the margin where cos(theta) <= 0
    (`easy_margin`, on by default there and here: "easy"); without that it is "sine".
    """

    term: ClassVar[str] = "magface_loss"
    radians: ClassVar[tuple[str, ...]] = ("lower_margin", "upper_margin")

    lower_norm: float = setting(10.0, above=0, doc="l_a, norm with the smallest margin")
    upper_norm: float = setting(110.0, above=0, doc="u_a, norm with the largest margin")
    lower_margin: float = setting(0.45, doc="l_m, radians")
    upper_margin: float = setting(0.8, doc="u_m, radians")
    regulariser: float = setting(35.0, at_least=0, doc="lambda_g, weight of g")
    beyond: MagBeyond = setting("easy", doc="t where the margin reaches too far")

    def check(self) -> None:
        super().check()
        if self.lower_norm >= self.upper_norm or self.lower_margin > self.upper_margin:
            raise SpecError("lower bounds above upper ones", where="MagFace", expected="lower below upper")

    def margin_of(self, norm: tf.Tensor) -> tf.Tensor:
        """Return m(a), radians, of clipped norms a."""
        steepness = (self.upper_margin - self.lower_margin) / (self.upper_norm - self.lower_norm)
        return steepness * (norm - self.lower_norm) + self.lower_margin

    def turned(self, cosine: tf.Tensor, margin: Any) -> tf.Tensor:
        """Return the target's logit for a margin of its own image by image."""
        return margined(cosine, self.beyond, m2=margin)

    def curves(self) -> dict[str, Any]:
        ends = ((self.lower_norm, self.lower_margin), (self.upper_norm, self.upper_margin))
        return {f"MagFace(margin={m:g}), norm {a:g}": (lambda c, m=m: self.turned(c, m)) for a, m in ends}

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        a = tf.clip_by_value(norms(batch.embeddings), self.lower_norm, self.upper_norm)
        each = self.entropies(batch, margin=self.turned, extras=(self.margin_of(a),), scale=self.scale)
        return tf.reduce_mean(each + self.regulariser * (a / self.upper_norm**2 + 1.0 / a))


@part
class AdaFace(ScaledLoss):
    """AdaFace: the margin turns from angle to cosine with the image quality, read off the norm.

    z = clip((|x| - mean) / (std + 0.001) * h, -1, 1), without gradient; the target is
    t = cos(theta - m z) - (m + m z), the angle kept within 0..pi. Mean and deviation (of a sample, n - 1)
    of the norms move: new = keep * old + (1 - keep) * batch; they start at 20 and 100. Kim et al.,
    "AdaFace: Quality adaptive margin for face recognition", CVPR 2022, where keep is 0.01; the
    authors' scripts for small batches use 0.99.
    """

    term: ClassVar[str] = "adaface_loss"
    radians: ClassVar[tuple[str, ...]] = ("margin",)
    batch_statistics: ClassVar[str | None] = "mean and deviation of the norms"

    margin: float = setting(0.4, doc="m, radians on the angle and difference on the cosine")
    h: float = setting(0.333, above=0, doc="how strongly the norm moves the margin")
    keep: float = setting(0.01, at_least=0, below=1, doc="share of the old mean and deviation kept at a step")

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        if batch_size < 2:
            raise SpecError("AdaFace on batches of one image", where="batch_size", expected="2 or more")

    def slots(self, classes: int, size: int, batch_size: int, teacher: int | None) -> dict[str, Slot]:
        return {"mean": Slot((), 20.0, trained=False), "deviation": Slot((), 100.0, trained=False)}

    def adapted(self, cosine: tf.Tensor, z: Any) -> tf.Tensor:
        """Return the target's logit for a quality z in -1..1 image by image."""
        theta = tf.clip_by_value(angles.angle(cosine) - self.margin * z, 0.0, math.pi)
        return tf.cos(theta) - (self.margin + self.margin * z)

    def curves(self) -> dict[str, Any]:
        return {
            f"{self.shape()}, quality {z:g}": (lambda c, z=z: self.adapted(c, z)) for z in (-1.0, 0.0, 1.0)
        }

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        # The bounds of the authors' code: one huge norm must not move the mean of all.
        norm = tf.stop_gradient(tf.clip_by_value(norms(batch.embeddings), 0.001, 100.0))
        mean, deviation = self._statistics(norm, state, batch.training)
        z = tf.clip_by_value((norm - mean) / (deviation + 0.001) * self.h, -1.0, 1.0)
        return tf.reduce_mean(self.entropies(batch, margin=self.adapted, extras=(z,), scale=self.scale))

    def _statistics(self, norm: tf.Tensor, state: dict[str, Any], training: bool) -> tuple[Any, Any]:
        old = tf.convert_to_tensor(state["mean"]), tf.convert_to_tensor(state["deviation"])
        if not training:
            return old
        norm = collectives.gather(norm)
        count = tf.cast(tf.size(norm), tf.float32)
        mean = tf.reduce_mean(norm)
        deviation = tf.sqrt(tf.reduce_sum(tf.square(norm - mean)) / tf.maximum(count - 1.0, 1.0))
        new = tuple(self.keep * o + (1.0 - self.keep) * n for o, n in zip(old, (mean, deviation)))
        state["mean"].assign(new[0])
        state["deviation"].assign(new[1])
        return new[0], new[1]


@part
class AdaCos(CosineLoss):
    """AdaCos: a scale that follows the training by itself, without a margin or with one.

    It starts at s = sqrt(2) ln(C - 1); each training step sets s = ln(B) / cos(min(pi/4, median angle of
    the targets)) before it is used, B the mean over the batch of sum over j != y of exp(s cos_j)
    with the old s. (ln(B) counts as at least 0: very few identities can drive B below 1, and a
    negative scale would turn the loss around.) The median of an even batch is the mean of the two values
    in the middle, where Keras_insightface takes the lower one. With `margin` m the target's cosine becomes
    ArcFace's cos(theta + m) before it is scaled; the scale goes by the cosines without it. Zhang et al.,
    "AdaCos: Adaptively scaling cosine logits for effectively learning deep face representations", CVPR 2019.
    """

    term: ClassVar[str] = "adacos_loss"
    radians: ClassVar[tuple[str, ...]] = ("margin",)
    batch_statistics: ClassVar[str | None] = "median angle and mean of the other logits"

    margin: float = setting(0.0, later=True, doc="m, added to the angle, radians")
    beyond: Beyond = setting("monotone", later=True, doc="t where theta + m passes pi")

    def check(self) -> None:
        super().check()
        if isinstance(self.head, Sampled):
            raise SpecError(
                "AdaCos needs the cosines of all identities", where="AdaCos.head", do="use Normalised()"
            )

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        if identities(labels) < 3:
            raise SpecError(
                f"AdaCos on {identities(labels)} identities: its scale sqrt(2) ln(C - 1) would be 0",
                where="loss",
                expected="3 identities or more",
                do="use ArcFace or ScaledSoftmax",
            )

    def slots(self, classes: int, size: int, batch_size: int, teacher: int | None) -> dict[str, Slot]:
        return {"scale": Slot((), math.sqrt(2.0) * math.log(max(classes - 1, 1)), trained=False)}

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        scale = tf.convert_to_tensor(state["scale"])
        if batch.training:
            scale = next_scale(scale, tf.stop_gradient(batch.logits), batch.targets)
            state["scale"].assign(scale)
        margin = self.target if self.margin else None
        return tf.reduce_mean(self.entropies(batch, margin=margin, scale=scale))

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        """Return the target's logit, unscaled, for its cosine."""
        return margined(cosine, self.beyond, m2=self.margin)

    def curves(self) -> dict[str, Any]:
        """Return the function from cosine to unscaled target logit that a picture shows, by label."""
        return {f"AdaCos(margin={self.margin:g})": self.target}


def next_scale(scale: tf.Tensor, cosines: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return AdaCos's scale after a batch of `cosines` [B, C], from the `scale` before it.

    In a step of several devices the batch is that of all of them.
    """
    cosine = collectives.gather(pick(cosines, targets))
    others = put(cosines * scale, targets, tf.fill(tf.shape(targets), tf.float32.min))
    log_sum, images = tf.reduce_logsumexp(others), tf.cast(tf.size(cosine), tf.float32)
    if collectives.count() > 1:
        log_sum = tf.reduce_logsumexp(collectives.gather(log_sum[tf.newaxis]))
    log_b = log_sum - tf.math.log(images)
    middle = tf.minimum(median(angles.angle(cosine)), math.pi / 4.0)
    return tf.maximum(log_b, 0.0) / tf.cos(middle)


def median(values: tf.Tensor) -> tf.Tensor:
    """Return the median of a vector: the middle value, or the mean of the two in the middle."""
    ordered, count = tf.sort(values), tf.size(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0
