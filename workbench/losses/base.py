"""What all losses share: the state they ask for, the layer that holds it, and the head they read."""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.models.heads.weights import Slot
from workbench.spec.interfaces import Batch, Loss
from workbench.spec.part import part

if TYPE_CHECKING:
    import numpy as np


@part
class StatefulLoss(Loss):
    """Base of the losses here: subclasses say what state they keep and give the value of a batch."""

    def slots(self, classes: int, size: int, batch_size: int, teacher: int | None) -> dict[str, Slot]:
        """Return the weights that hold the loss's state, by name; none by default.

        Args:
            classes: C, the identities of the stage's data.
            size: d, numbers in an embedding.
            batch_size: Images of a step, over all devices.
            teacher: t, numbers in a teacher's vector; None without a teacher.
        """
        return {}

    @abc.abstractmethod
    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        """Return the loss of a batch, a float32 scalar.

        Args:
            batch: Embeddings [B, d], labels [B], the head's logits [B, S] and more; see `Batch`.
            state: The variables of `slots` by name. In training it may move them on: what it assigns is part of
                the checkpoint, and must be equal on all devices.
        """

    def layer(
        self, classes: int, size: int, batch_size: int, teacher: int | None = None
    ) -> tf.keras.layers.Layer:
        from workbench.losses.layers import LossLayer

        return LossLayer(self, self.slots(classes, size, batch_size, teacher))


def need_radians(loss: Loss, name: str, value: float) -> None:
    """Refuse an angle outside 0..pi/2 radians, and say what it would be if it was meant in degrees."""
    right = math.pi / 2
    if 0 <= value <= right:
        return
    degrees = value > right and math.radians(value) <= right
    raise SpecError(
        f"{value:g} is out of range",
        where=f"{type(loss).__name__}.{name}",
        expected=f"an angle in radians from 0 to {right:.4g}",
        do=f"if {value:g} degrees are meant, write {math.radians(value):.4g}" if degrees else None,
    )


def identities(labels: np.ndarray) -> int:
    """Return how many identities labels 0 .. C - 1 stand for."""
    return int(labels.max()) + 1 if len(labels) else 0
