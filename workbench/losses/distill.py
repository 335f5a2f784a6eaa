"""Losses towards a teacher: its embeddings, or its logits, recorded beside the images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.losses.base import StatefulLoss, identities
from workbench.losses.softmax import LogitsLoss
from workbench.models.heads import matmul
from workbench.models.heads.full import Dense
from workbench.models.heads.partial_fc import Sampled
from workbench.models.heads.weights import Slot
from workbench.spec.interfaces import Batch, Head
from workbench.spec.part import part, setting

if TYPE_CHECKING:
    import numpy as np

MAKE = "record a teacher with `workbench data distill`, and train on the records it writes"


def need_teacher(loss: str, teacher: int | None) -> int:
    """Return the size of the teacher's vectors; refuse data without a teacher."""
    if teacher is None:
        raise SpecError("the data has no teacher", where=loss, expected="records with a teacher", do=MAKE)
    return teacher


@part
class DistillEmbedding(StatefulLoss):
    """Distance of the embedding x [B, d] from a teacher's vector y [B, t], both at unit length.

    "cosine": mean of 1 - cos(x, y); "squared": mean over the batch of |x/|x| - y/|y||^2, the sum of squared
    differences, which is 2 (1 - cos): the same loss at twice the weight, and what the trainings of
    Keras_insightface weigh with 7, 32 or 64; "mse": the mean of squared differences over the batch and the
    dimensions too, Keras's mean squared error. `normalise=False` takes both as they are. Where d and t
    differ, x first goes through a trained matrix M [d, t] (Romero et al., "FitNets", 2015),
    which is dropped with the loss.
    """

    term: ClassVar[str] = "embedding_loss"
    needs_teacher: ClassVar[bool] = True

    distance: Literal["cosine", "squared", "mse"] = setting("cosine", doc="what is minimised")
    normalise: bool = setting(True, later=True, doc="both at unit length; False: as they are")

    def check(self) -> None:
        if self.distance == "cosine" and not self.normalise:
            raise SpecError(
                "a cosine is of vectors at unit length",
                where="DistillEmbedding.normalise",
                do='set distance="squared" or "mse"',
            )

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        need_teacher("DistillEmbedding", teacher)

    def slots(self, classes: int, size: int, batch_size: int, teacher: int | None) -> dict[str, Slot]:
        numbers = need_teacher("DistillEmbedding", teacher)
        return {} if numbers == size else {"mapping": Slot((size, numbers))}

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        x, y = batch.embeddings, tf.cast(batch.teacher, tf.float32)
        if "mapping" in state:
            x = tf.matmul(x, state["mapping"])
        if self.normalise:
            x, y = matmul.unit(x), matmul.unit(y)
        if self.distance == "mse":
            return tf.reduce_mean(tf.square(x - y))
        if self.distance == "squared":
            return tf.reduce_mean(tf.reduce_sum(tf.square(x - y), axis=1))
        return tf.reduce_mean(1.0 - tf.reduce_sum(x * y, axis=1))


@part
class DistillLogits(LogitsLoss):
    """Distillation of logits: alpha * H(y, p) + (1 - alpha) * KL(p_T of the teacher, p_T of the student).

    p_T = softmax(z / temperature), H the cross-entropy with the labels (and label smoothing) at
    temperature 1; means over the batch. There is no factor T^2, so gradients of the second part
    shrink with the temperature. Hinton et al., "Distilling the knowledge in a neural network", 2015.
    """

    term: ClassVar[str] = "distill_loss"
    needs_teacher: ClassVar[bool] = True

    temperature: float = setting(10.0, above=0, doc="T, divides both logits")
    alpha: float = setting(0.1, at_least=0, at_most=1, doc="weight of the labels' part")
    head: Head = setting(Dense(), doc="classification head of the student")

    def check(self) -> None:
        if isinstance(self.head, Sampled):
            raise SpecError(
                "needs the logits of all identities",
                where="DistillLogits.head",
                do="use Dense() or Normalised()",
            )

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        numbers, classes = need_teacher("DistillLogits", teacher), identities(labels)
        if numbers != classes:
            raise SpecError(
                f"the teacher gives {numbers} numbers an image",
                where="DistillLogits",
                expected=f"a logit for each of the {classes} identities",
                do="use DistillEmbedding for a teacher's embeddings",
            )

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        labels_part = self.entropies(batch)
        teacher = tf.nn.log_softmax(tf.cast(batch.teacher, tf.float32) / self.temperature)
        student = tf.nn.log_softmax(batch.logits / self.temperature)
        divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=1)
        return tf.reduce_mean(self.alpha * labels_part + (1.0 - self.alpha) * divergence)
