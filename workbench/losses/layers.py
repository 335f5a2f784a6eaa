"""The Keras layer that holds a loss's state. It imports TensorFlow, so it is imported inside methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import tf
from workbench.models.heads.layers import add
from workbench.models.heads.weights import Slot
from workbench.spec.interfaces import Batch

if TYPE_CHECKING:
    from workbench.losses.base import StatefulLoss


class LossLayer(tf.keras.layers.Layer):
    """`(Batch) -> scalar float32`; its weights are the loss's state, built at once.

    It answers calls itself instead of through Keras, which would turn the batch's label smoothing
    into a tensor and choke on a batch without logits or teacher.
    """

    def __init__(self, part: StatefulLoss, slots: dict[str, Slot]) -> None:
        super().__init__(name=part.term, dtype="float32")
        self.part = part
        self.state = {name: add(self, name, slot) for name, slot in slots.items()}
        self.built = True

    def __call__(self, batch: Batch) -> tf.Tensor:  # type: ignore[override]
        return self.part.value(batch, self.state)
