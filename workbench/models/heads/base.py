"""What all classification heads share: the weights they ask for and the layer that holds them."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

from workbench.lazy import tf
from workbench.spec.interfaces import Head
from workbench.spec.part import part


class Slot(NamedTuple):
    """A weight that a head or a loss asks for: its shape, where it starts, and whether it is trained.

    `start` is a number (all entries alike), the name of a Keras initializer or such an initializer. A
    state that is not trained is written alike on all devices: from what `distribute.collectives` gathers.
    """

    shape: tuple[int, ...]
    start: Any = "glorot_uniform"
    trained: bool = True
    dtype: str = "float32"


class Step(NamedTuple):
    """How a head is called: in training or not, and whether operations unknown to XLA may be used."""

    training: bool
    native: bool = False


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
