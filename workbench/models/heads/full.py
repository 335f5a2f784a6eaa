"""The heads that compute a logit for every identity."""

from __future__ import annotations

from typing import Any, ClassVar

from workbench.lazy import tf
from workbench.models.heads import matmul
from workbench.models.heads.base import WeightedHead
from workbench.models.heads.weights import Slot, Step
from workbench.spec.part import part, setting


@part
class Dense(WeightedHead):
    """Plain dense logits, z_ij = x_i.w_j + b_j."""

    bias: bool = setting(True, doc="add b, one trained number an identity")

    def slots(self, classes: int, size: int) -> dict[str, Slot]:
        kernel = super().slots(classes, size)
        return {**kernel, "bias": Slot((classes,), 0.0)} if self.bias else kernel

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        return ("dense", classes, size, self.bias)

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], step: Step
    ) -> tuple[tf.Tensor, tf.Tensor]:
        values = tf.matmul(embeddings, weights["kernel"], transpose_b=True)
        return (values + weights["bias"] if self.bias else values), labels


@part
class Normalised(WeightedHead):
    """Cosines between embedding and class weight, cos_ij = x_i.w_j / (|x_i| |w_j|).

    Wang et al., "NormFace", 2017. The loss scales them.
    """

    normalised: ClassVar[bool] = True

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        return ("normalised", classes, size)

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], step: Step
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return matmul.cosines(embeddings, weights["kernel"], step.native), labels


@part
class SubCenter(WeightedHead):
    """k cosines an identity, of which the largest counts: cos_ij = max_l cos(x_i, w_jl).

    Noisy images gather at the weaker centers of their identity. Deng et al., "Sub-center ArcFace",
    ECCV 2020. `workbench clean` drops them from the training list afterwards.
    """

    normalised: ClassVar[bool] = True

    centers: int = setting(3, at_least=1, at_most=64, doc="k, centers an identity")

    def slots(self, classes: int, size: int) -> dict[str, Slot]:
        return {"kernel": Slot((classes * self.centers, size))}  # row j * k + l is center l of identity j

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        return ("sub-center", classes, size, self.centers)

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], step: Step
    ) -> tuple[tf.Tensor, tf.Tensor]:
        every = matmul.cosines(embeddings, weights["kernel"], step.native)
        classes = weights["kernel"].shape[0] // self.centers
        return tf.reduce_max(tf.reshape(every, [-1, classes, self.centers]), axis=2), labels


@part
class Euclidean(WeightedHead):
    """Half the negative squared distance, z_ij = x_i.w_j - (|x_i|^2 + |w_j|^2)/2 = -|x_i - w_j|^2 / 2.

    The class weights are points of the embedding space: a softmax over distances to prototypes.
    """

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        return ("euclidean", classes, size)

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], step: Step
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kernel = tf.convert_to_tensor(weights["kernel"])
        squares = tf.reduce_sum(tf.square(embeddings), axis=1, keepdims=True) + tf.reduce_sum(
            tf.square(kernel), axis=1
        )
        return tf.matmul(embeddings, kernel, transpose_b=True) - squares / 2.0, labels
