"""Softmax losses without an angular margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from workbench.families import Batch, Head
from workbench.heads.full import Dense
from workbench.lazy import Lazy
from workbench.losses.base import StatefulLoss
from workbench.losses.crossentropy import cross_entropy
from workbench.parts import part, setting

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")


@part
class LogitsLoss(StatefulLoss):
    """Base of the losses on the logits of a classification head."""

    head: Head = setting(Dense(), doc="classification head")

    def classifier(self) -> Head:
        return self.head


@part
class Softmax(LogitsLoss):
    """Softmax cross-entropy: the mean over the batch of -log p_y, p = softmax(z), z [B, C].

    With label smoothing e (a setting of the experiment or stage): -sum_j q_j log p_j, where q is
    1 - e on the target plus e/C everywhere (Szegedy et al., "Rethinking the Inception
    architecture", 2016).
    """

    term: ClassVar[str] = "softmax_loss"

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        return tf.reduce_mean(cross_entropy(batch.logits, batch.targets, smoothing=batch.label_smoothing))
