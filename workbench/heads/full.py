"""The heads that compute a logit for every identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from workbench.heads import products
from workbench.heads.base import Slot, WeightedHead
from workbench.lazy import Lazy
from workbench.parts import part, setting

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")


@part
class Dense(WeightedHead):
    """Plain dense logits, z_ij = x_i.w_j + b_j."""

    bias: bool = setting(True, doc="add b, one trained number an identity")

    def slots(self, classes: int, size: int) -> dict[str, Slot]:
        weights = {"kernel": Slot((classes, size))}
        return {**weights, "bias": Slot((classes,), 0.0)} if self.bias else weights

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        return ("dense", classes, size, self.bias)

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        values = tf.matmul(embeddings, weights["kernel"], transpose_b=True)
        return (values + weights["bias"] if self.bias else values), labels


@part
class Normalised(WeightedHead):
    """Cosines between embedding and class weight, cos_ij = x_i.w_j / (|x_i| |w_j|).

    Wang et al., "NormFace", 2017. The loss scales them.
    """

    normalised: ClassVar[bool] = True

    def slots(self, classes: int, size: int) -> dict[str, Slot]:
        return {"kernel": Slot((classes, size))}

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        return ("normalised", classes, size)

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return products.cosines(embeddings, weights["kernel"]), labels
