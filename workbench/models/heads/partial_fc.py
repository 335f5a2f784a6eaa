"""The head that computes a share of the identities at each step (Partial FC)."""

from __future__ import annotations

from typing import Any, ClassVar

from workbench.distribute import collectives
from workbench.lazy import tf
from workbench.models.heads import matmul
from workbench.models.heads.full import Normalised
from workbench.models.heads.weights import Slot, Step
from workbench.spec.part import part, setting


@part
class Sampled(Normalised):
    """Cosines to the batch's own identities and to a random choice of the others, anew at each step.

    An et al., "Partial FC: training 10 million identities on a single machine", ICCVW 2021. S, the
    number of columns, is `rate` times all identities, at least the batch size; the batch's own are
    always among them. The training `accuracy` is then the share of images whose own identity has the
    largest cosine *among those S*, so it stands above that of a full head; in evaluation (`val_*`)
    all identities are computed. The weights are those of `Normalised`, and carried to and from it.
    Several devices choose the same columns, which hold the identities of the global batch.
    """

    same_rows: ClassVar[bool] = True

    rate: float = setting(0.1, above=0, at_most=1, doc="share of the identities computed at a step")

    def slots(self, classes: int, size: int) -> dict[str, Slot]:
        seed = tf.keras.initializers.RandomUniform(0, 2**31 - 1)
        return {**super().slots(classes, size), "stream": Slot((2,), seed, trained=False, dtype="int32")}

    def logits(
        self, embeddings: tf.Tensor, labels: tf.Tensor, weights: dict[str, Any], step: Step
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not step.training:
            return matmul.cosines(embeddings, weights["kernel"]), labels
        seed = tf.identity(weights["stream"])
        weights["stream"].assign(seed + [0, 1])
        classes = weights["kernel"].shape[0]
        everyone = collectives.gather(labels)  # all devices choose the same columns, as one device would
        chosen = choose(everyone, classes, self._count(classes, labels), seed)
        rows = tf.gather(weights["kernel"], chosen)
        return matmul.cosines(embeddings, rows, step.native), tf.searchsorted(chosen, labels)

    def _count(self, classes: int, labels: tf.Tensor) -> Any:
        """Return S: static where the batch size is, as compiled steps need it."""
        wanted, images = min(classes, max(1, round(self.rate * classes))), labels.shape[0]
        if images is None:
            return tf.minimum(classes, tf.maximum(wanted, tf.shape(labels)[0] * collectives.count()))
        return min(classes, max(wanted, images * collectives.count()))


def choose(labels: tf.Tensor, classes: int, count: Any, seed: tf.Tensor) -> tf.Tensor:
    """Return `count` of the identities 0 .. `classes` - 1, ascending: those of `labels` and random others.

    Every identity draws a number in 0..1, those of the batch have 2, and the largest are taken;
    `count` is at least the number of labels. Pure: the same `seed` (int32 [2]) chooses the same.
    """
    draws = tf.random.stateless_uniform([classes], seed)
    draws = tf.tensor_scatter_nd_update(draws, labels[:, tf.newaxis], tf.fill(tf.shape(labels), 2.0))
    return tf.sort(tf.math.top_k(draws, count, sorted=False).indices)
