"""What all classification heads share: the weights they ask for and the layer that holds them."""

from __future__ import annotations

import abc
from typing import Any

from workbench.lazy import tf
from workbench.models.heads.weights import Slot, Step
from workbench.spec.interfaces import Head
from workbench.spec.part import part


@part
class WeightedHead(Head):
    """Base of the heads here: subclasses say which weights they need and how logits follow.

    All of it is float32 whatever the precision of the model: at scale 64 the rounding of a 16-bit
    cosine is a logit error of 0.03 and more. (On GPUs with TensorFloat-32 the products use it.)
    """

    def slots(self, classes: int, size: int) -> dict[str, Slot]:
        """Return the weights by name for C `classes` and embeddings of d = `size` numbers: one row a class."""
        return {"kernel": Slot((classes, size))}

    @abc.abstractmethod
    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], step: Step
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return margin-free logits [B, S] and, for each image, the column of its own identity [B]."""

    def layer(self, classes: int, size: int) -> tf.keras.layers.Layer:
        from workbench.models.heads.layers import HeadLayer

        return HeadLayer(self, classes, size)
