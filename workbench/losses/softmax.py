"""Softmax losses without an angular margin, and the bases of all losses on logits."""

from __future__ import annotations

from typing import Any, ClassVar

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.losses.base import StatefulLoss, need_radians
from workbench.losses.crossentropy import cross_entropy
from workbench.models.heads.full import Dense, Normalised
from workbench.spec.interfaces import Batch, Head
from workbench.spec.part import part, setting


@part
class LogitsLoss(StatefulLoss):
    """Base of the losses on the logits of a classification head."""

    head: Head = setting(Dense(), doc="classification head")

    def classifier(self) -> Head:
        return self.head

    def entropies(self, batch: Batch, **options: Any) -> tf.Tensor:
        """Return the cross-entropy of each image, [B], with the batch's label smoothing; options of `cross_entropy`."""
        return cross_entropy(batch.logits, batch.targets, smoothing=batch.label_smoothing, **options)


@part
class Softmax(LogitsLoss):
    """Softmax cross-entropy: the mean over the batch of -log p_y, p = softmax(z), z [B, C].

    With label smoothing e (a setting of the experiment or stage): -sum_j q_j log p_j, where q is
    1 - e on the target plus e/C everywhere (Szegedy et al., "Rethinking the Inception
    architecture", 2016).
    """

    term: ClassVar[str] = "softmax_loss"

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        return tf.reduce_mean(self.entropies(batch))


@part
class MarginSoftmax(LogitsLoss):
    """Margin softmax: the target's probability p becomes p' = (p^power + scale * p) / 2.

    The probabilities are then divided by their new sum 1 - p + p', as Keras's cross-entropy of
    probabilities does, and the loss is the mean of -log of the target's: 0 at p = 1. This is the loss of the
    Keras_insightface trainings. `renormalised=False` leaves the division out; with power 2 and scale 0.4
    the loss is then 0.357 at p = 1 and never below. Label smoothing e weighs the logarithms by 1 - e + e/C
    for the target and e/C for the others.
    """

    term: ClassVar[str] = "margin_softmax_loss"

    power: float = setting(2.0, at_least=1, doc="exponent on the target's probability")
    scale: float = setting(0.4, above=0, doc="weight of the plain probability beside its power")
    renormalised: bool = setting(True, doc="divide the probabilities by their new sum")

    def probability_curves(self) -> dict[str, Any]:
        """Return the functions from the target's probability p to p' that a picture shows, by label."""
        label = f"MarginSoftmax(power={self.power:g}, scale={self.scale:g})"
        return {label: lambda p: (p**self.power + self.scale * p) / 2}

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        smoothing, columns = batch.label_smoothing, tf.shape(batch.logits)[1]
        entropy = cross_entropy(batch.logits, batch.targets)  # -log p of the target
        p = tf.exp(-entropy)
        gained = tf.math.log((tf.pow(p, self.power - 1.0) + self.scale) / 2.0)  # log(p'/p)
        share = 1.0 - smoothing + smoothing / tf.cast(columns, tf.float32)
        result = (self.entropies(batch) if smoothing else entropy) - share * gained
        if self.renormalised:
            result += tf.math.log(1.0 - p + p * tf.exp(gained))
        return tf.reduce_mean(result)


@part
class CosineLoss(LogitsLoss):
    """Base of the losses on cosines; `radians` names the settings that are angles."""

    radians: ClassVar[tuple[str, ...]] = ()

    head: Head = setting(Normalised(), doc="classification head that gives cosines")

    def check(self) -> None:
        if not self.head.normalised:
            raise SpecError(
                f"{type(self.head).__name__} gives no cosines",
                where=f"{type(self).__name__}.head",
                expected="a normalised head",
                do="use Normalised(), SubCenter() or Sampled()",
            )
        for name in self.radians:
            need_radians(self, name, getattr(self, name))


@part
class ScaledLoss(CosineLoss):
    """Base of the losses on scaled cosines; subclasses change the target's cosine."""

    scale: float = setting(64.0, above=0, doc="factor s on the cosines")

    def target(self, cosine: tf.Tensor) -> tf.Tensor:
        """Return the target's logit, unscaled, for its cosine: any shape, elementwise."""
        return cosine

    def curves(self) -> dict[str, Any]:
        """Return the functions from cosine to unscaled target logit that a picture shows, by label."""
        return {self.shape(): self.target}

    def shape(self) -> str:
        """Return the loss with all settings that shape its curve: `ArcFace(margin=0.5, beyond=monotone)`."""
        aside = ("head", "scale", "form", "keep", "regulariser", "h")
        shown = [f"{name}={value}" for name, value in self.settings().items() if name not in aside]
        return f"{type(self).__name__}({', '.join(shown)})"

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        return tf.reduce_mean(self.entropies(batch, margin=self.target, scale=self.scale))


@part
class ScaledSoftmax(ScaledLoss):
    """Softmax of scaled cosines, s * cos_ij, without a margin.

    Wang et al., "NormFace: L2 hypersphere embedding for face verification", 2017.
    """

    term: ClassVar[str] = "scaled_softmax_loss"

    def softmax_curves(self) -> dict[str, float]:
        """Return the scales whose softmax of evenly spread cosines a picture shows, by label."""
        return {f"ScaledSoftmax(scale={self.scale:g})": self.scale}
