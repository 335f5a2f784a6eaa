"""Losses on the embeddings of a batch, without a classification head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workbench.distribute import collectives
from workbench.errors import SpecError
from workbench.lazy import addons, tf
from workbench.losses.base import StatefulLoss
from workbench.models.heads import matmul
from workbench.models.heads.weights import Slot
from workbench.spec.interfaces import Batch
from workbench.spec.part import part, setting

if TYPE_CHECKING:
    import numpy as np

RARE = 0.25  # a triplet stage is refused when fewer of its images are expected to find a positive


@part
class Center(StatefulLoss):
    """Center loss: each embedding is drawn to the moving center of its identity.

    The mean over batch and dimensions of (x - c)^2, x [B, d] not normalised, with the centers before
    the batch; then, for each identity in the batch with its n images,
    c -= alpha * sum(c - x) / (1 + n). Centers [C, d] start at zero, and are part of the checkpoint.
    Wen et al., "A discriminative feature learning approach for deep face recognition", ECCV 2016
    (which halves the squared norm instead of averaging over dimensions: weigh the term for that).
    """

    term: ClassVar[str] = "center_embedding_loss"
    batch_statistics: ClassVar[str | None] = "moves of the centers"

    alpha: float = setting(0.5, above=0, at_most=1, doc="how far centers move at a step")

    def slots(self, classes: int, size: int, batch_size: int, teacher: int | None) -> dict[str, Slot]:
        return {"centers": Slot((classes, size), 0.0, trained=False)}

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        centers, x, y = state["centers"], batch.embeddings, batch.labels
        # Read before they are moved: the loss, and so its gradient, is that of the centers before the batch.
        away = x - tf.gather(tf.convert_to_tensor(centers), y)
        if batch.training:
            step, everyone = collectives.gather(tf.stop_gradient(away)), collectives.gather(y)
            step = self.alpha * step / (1.0 + images_alike(everyone)[:, tf.newaxis])
            centers.scatter_add(tf.IndexedSlices(step, everyone))
        return tf.reduce_mean(tf.square(away))


def same_identity(labels: tf.Tensor) -> tf.Tensor:
    """Return which pairs of a batch show one identity, bool [B, B]."""
    return tf.equal(labels[:, tf.newaxis], labels[tf.newaxis, :])


def images_alike(labels: tf.Tensor) -> tf.Tensor:
    """Return how many images of the batch show each image's identity, itself included, float [B]."""
    return tf.reduce_sum(tf.cast(same_identity(labels), tf.float32), axis=1)


@part
class Triplet(StatefulLoss):
    """Triplet loss on the embeddings of a batch: max(0, D(a, p) - D(a, n) + alpha).

    `a` and `p` show one identity, `n` another. D is 1 - cos ("cosine"), the distance of unit vectors
    ("euclidean") or its square ("squared", which is 2 (1 - cos)); `normalise=False` takes the embeddings
    as they are instead of unit vectors, for the latter two. `mining` chooses the triplets:

    - "hard": for each anchor the farthest positive and the nearest negative; mean over anchors.
      Hermans et al., "In defense of the triplet loss for person re-identification", 2017.
    - "all": every triplet of the batch; mean over all of them, satisfied ones too.
    - "semi-hard": for each positive pair the nearest negative farther off than the positive, else
      the farthest negative; mean over positive pairs. Schroff et al., "FaceNet", CVPR 2015, as in
      TensorFlow Addons.
    - "all-pairs": the batch-all loss of Keras_insightface, which forms no triplets: for each anchor the
      mean of D over the images of its identity, itself included, plus the sum of cos(a, n) over its k
      negatives nearer than the farthest positive plus alpha, divided by k + 1; mean over anchors.

    A batch without a triplet has loss 0 (all-pairs aside). A margin that changes in time is a row of stages.
    """

    term: ClassVar[str] = "triplet_embedding_loss"
    batch_statistics: ClassVar[str | None] = "triplets"

    alpha: float = setting(0.35, above=0, doc="margin between the distances; at most 4 for unit embeddings")
    mining: Literal["hard", "all", "semi-hard", "all-pairs"] = setting(
        "hard", doc="which triplets of a batch count"
    )
    distance: Literal["cosine", "euclidean", "squared"] = setting("cosine", doc="D, between embeddings")
    normalise: bool = setting(True, later=True, doc="D of unit embeddings; False: of embeddings as they are")

    def check(self) -> None:
        if self.normalise and self.alpha > 4:
            raise SpecError(
                f"{self.alpha:g} is out of range",
                where="Triplet.alpha",
                expected="at most 4, the largest squared distance of unit embeddings",
                do="set normalise=False for embeddings as they are",
            )
        if self.distance == "cosine" and not self.normalise:
            raise SpecError(
                "a cosine is of unit embeddings",
                where="Triplet.normalise",
                do='set distance="euclidean" or "squared"',
            )
        if self.mining == "all-pairs" and self.distance != "cosine":
            raise SpecError(
                f"{self.distance!r} is not possible with mining='all-pairs'",
                where="Triplet.distance",
                expected="'cosine'",
            )

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        import numpy as np

        counts = np.bincount(labels)
        if (counts > 0).sum() < 2 or counts.max(initial=0) < 2:
            raise SpecError(
                "no triplet: there are not two identities, one of them with two images",
                where="Triplet",
                do="use other data, or a loss on logits",
            )
        share = expected_positives(counts, batch_size)
        if not sampled and share < RARE:
            raise SpecError(
                f"only {share:.1%} of the images find a second image of their identity in a batch of {batch_size}",
                where="Triplet",
                expected=f"at least {RARE:.0%}",
                do="set sampler= on the stage, so that a batch holds several images of each of its identities",
            )

    def value(self, batch: Batch, state: dict[str, Any]) -> tf.Tensor:
        embeddings, labels = batch.embeddings, batch.labels
        if batch.training:  # triplets of the global batch, whatever devices hold its parts
            embeddings, labels = collectives.gather(embeddings), collectives.gather(labels)
        distances, alike = self.distances(embeddings), same_identity(labels)
        mined = {"hard": hard, "all": every, "semi-hard": semi_hard, "all-pairs": all_pairs}[self.mining]
        return mined(distances, alike, labels, self.alpha)

    def distances(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Return D of all pairs, [B, B], at least 0."""
        if self.normalise:
            unit = matmul.unit(embeddings)
            off = tf.maximum(1.0 - tf.matmul(unit, unit, transpose_b=True), 0.0)
            if self.distance == "cosine":
                return off
            squared = 2.0 * off
        else:
            squares = tf.reduce_sum(tf.square(embeddings), axis=1)
            inner = tf.matmul(embeddings, embeddings, transpose_b=True)
            squared = tf.maximum(squares[:, tf.newaxis] + squares - 2.0 * inner, 0.0)
        return squared if self.distance == "squared" else tf.sqrt(tf.maximum(squared, 1e-12))


def hard(distances: tf.Tensor, alike: tf.Tensor, labels: tf.Tensor, alpha: float) -> tf.Tensor:
    """Return the mean over anchors of the hardest triplet's loss."""
    positives = tf.linalg.set_diag(alike, tf.zeros_like(labels, tf.bool))
    farthest = tf.reduce_max(tf.where(positives, distances, -1.0), axis=1)
    nearest = tf.reduce_min(tf.where(alike, 1e9, distances), axis=1)  # 1e9: beyond every distance
    valid = tf.reduce_any(positives, axis=1) & tf.reduce_any(~alike, axis=1)
    losses = tf.where(valid, tf.nn.relu(farthest - nearest + alpha), 0.0)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(tf.cast(valid, tf.float32)))


def every(distances: tf.Tensor, alike: tf.Tensor, labels: tf.Tensor, alpha: float) -> tf.Tensor:
    """Return the mean over all triplets of their loss, in memory B^2 instead of B^3.

    The negatives of an anchor are sorted; those nearer than D(a, p) + alpha are then a beginning of
    that row, whose sum comes from a running sum.
    """
    positives = tf.linalg.set_diag(alike, tf.zeros_like(labels, tf.bool))
    far = tf.reduce_max(distances) + alpha + 1.0  # beyond every bound: these never count
    row = tf.sort(tf.where(alike, far, distances), axis=1)
    running = tf.pad(tf.cumsum(row, axis=1), [[0, 0], [1, 0]])
    bounds = distances + alpha
    nearer = tf.searchsorted(tf.stop_gradient(row), tf.stop_gradient(bounds))
    sums = tf.cast(nearer, tf.float32) * bounds - tf.gather(running, nearer, axis=1, batch_dims=1)
    total = tf.reduce_sum(tf.where(positives, sums, 0.0))
    counts = [tf.reduce_sum(tf.cast(mask, tf.float32), axis=1) for mask in (positives, ~alike)]
    return tf.math.divide_no_nan(total, tf.reduce_sum(counts[0] * counts[1]))


def all_pairs(distances: tf.Tensor, alike: tf.Tensor, labels: tf.Tensor, alpha: float) -> tf.Tensor:
    """Return Keras_insightface's batch-all loss of `distances` 1 - cos: see `Triplet`."""
    own = tf.where(alike, distances, 0.0)
    pull = tf.reduce_sum(own, axis=1) / images_alike(labels)
    near = ~alike & (distances - tf.reduce_max(own, axis=1, keepdims=True) < alpha)
    push = tf.reduce_sum(tf.where(near, 1.0 - distances, 0.0), axis=1)
    return tf.reduce_mean(pull + push / (tf.reduce_sum(tf.cast(near, tf.float32), axis=1) + 1.0))


def semi_hard(distances: tf.Tensor, alike: tf.Tensor, labels: tf.Tensor, alpha: float) -> tf.Tensor:
    """Return TensorFlow Addons' semi-hard triplet loss, and 0 where a batch has no triplet."""
    tfa = addons()
    if tfa is None:
        return semi_hard_sorted(distances, alike, labels, alpha)
    positives = tf.linalg.set_diag(alike, tf.zeros_like(labels, tf.bool))
    some = tf.reduce_any(positives) & tf.reduce_any(~alike)
    safe = tf.where(some, labels, tf.range(tf.size(labels), dtype=labels.dtype) // 2)  # never 0 / 0
    loss = tfa.losses.triplet_semihard_loss(
        y_true=safe, y_pred=distances, margin=alpha, distance_metric=tf.identity
    )
    return tf.where(some, loss, 0.0)


def semi_hard_sorted(distances: tf.Tensor, alike: tf.Tensor, labels: tf.Tensor, alpha: float) -> tf.Tensor:
    """Return the same without Addons, in memory B^2 instead of B^3.

    In the sorted negatives of an anchor the nearest one farther off than the positive stands where the positive
    would be inserted; where that is behind the last one, the last is the farthest.
    """
    positives = tf.linalg.set_diag(alike, tf.zeros_like(labels, tf.bool))
    negatives = tf.reduce_sum(tf.cast(~alike, tf.int32), axis=1, keepdims=True)
    far = tf.reduce_max(distances) + alpha + 1.0  # behind every negative
    row = tf.sort(tf.where(alike, far, distances), axis=1)
    place = tf.searchsorted(tf.stop_gradient(row), tf.stop_gradient(distances), side="right")
    negative = tf.gather(row, tf.clip_by_value(place, 0, tf.maximum(negatives - 1, 0)), axis=1, batch_dims=1)
    valid = positives & (negatives > 0)
    total = tf.reduce_sum(tf.where(valid, tf.nn.relu(distances - negative + alpha), 0.0))
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(valid, tf.float32)))


def expected_positives(counts: np.ndarray, batch_size: int) -> float:
    """Return the expected share of images that find another image of their identity in a random batch.

    `counts` are the images of each identity; the others of the batch are drawn from the rest without
    replacement, so an image with n - 1 siblings misses them all with probability
    prod_(k < n - 1) (1 - (B - 1)/(N - 1 - k)).
    """
    import numpy as np

    images = int(counts.sum())
    places = np.arange(int(counts.max(initial=0)))[: max(images - 1, 0)]
    left = np.clip(1.0 - (batch_size - 1) / np.maximum(images - 1 - places, 1), 0.0, 1.0)
    misses = np.concatenate([[1.0], np.cumprod(left)])  # by the number of siblings
    used = counts[counts > 0]
    return float((used * (1.0 - misses[used - 1])).sum() / images)
