"""A run as a classifier: its network and the classification head of a checkpoint, as one Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from workbench.errors import RecordError
from workbench.lazy import tf
from workbench.losses.adaptive import AdaCos
from workbench.losses.softmax import ScaledLoss
from workbench.models.heads.full import Dense, Euclidean, Normalised, SubCenter
from workbench.models.heads.partial_fc import Sampled
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Head, Weighted, terms
from workbench.train.checkpoint import State

Outputs = Literal["embedding", "logits", "probabilities"]
KERNEL, BIAS = "head/00000", "head/00001"  # the names of a head's weights in a checkpoint


def with_classes(
    embedder: tf.keras.Model, experiment: Experiment, state: State, outputs: Outputs, where: Any
) -> tf.keras.Model:
    """Return `embedder` with the head of a checkpoint behind it: [B, C] logits or their softmax.

    Logits are those of the softmax in training, without margins: cosines times the loss's scale, or
    x.w + b. (Those of `Euclidean` leave |x|^2 / 2 out, which no class's share depends on.) Raises
    `RecordError` where the checkpoint's stage had no head.
    """
    plan = experiment.plans()[int(state.facts["stage"]) - 1]
    term = next((t for t in terms(plan.loss) if t.loss.classifier() is not None), None)
    if term is None or KERNEL not in state.arrays:
        raise RecordError(
            f"stage {plan.number} ({plan.name}), of which the checkpoint is, has no classification head",
            where=where,
            do="choose the other checkpoint with --which",
        )
    head = term.loss.classifier()
    assert head is not None
    require_known_logits(head, where)
    x = _logits(embedder.output, head, scale_of(term, state.arrays), state.arrays)
    if outputs == "probabilities":
        x = tf.keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    return tf.keras.Model(embedder.input, x, name="classifier")


def require_known_logits(head: Head, where: Any) -> None:
    """Raise `RecordError` for a head whose logits are computed in a way of its own, which no Dense layer repeats."""
    known = [kind.logits for kind in (Dense, Normalised, Sampled, SubCenter, Euclidean)]
    if getattr(type(head), "logits", None) not in known:
        raise RecordError(
            f"{type(head).__name__} computes logits in a way of its own",
            where=where,
            expected="the logits of Dense, Normalised, SubCenter, Sampled or Euclidean",
            do="take the embeddings and call the head yourself",
        )


def scale_of(term: Weighted, arrays: Mapping[str, np.ndarray]) -> float:
    """Return the factor on the logits in a term's softmax, which AdaCos learns and other losses may call otherwise."""
    if isinstance(term.loss, AdaCos):
        return float(arrays[f"loss.{term.term}/00000"])
    return term.loss.scale if isinstance(term.loss, ScaledLoss) else 1.0


def _logits(x: Any, head: Head, scale: float, arrays: Mapping[str, np.ndarray]) -> Any:
    layers, kernel = tf.keras.layers, np.asarray(arrays[KERNEL], np.float32)
    bias = arrays[BIAS] if isinstance(head, Dense) and head.bias else None
    if isinstance(head, Euclidean):
        # |x - w|^2 / 2 = |x|^2 / 2 - x.w + |w|^2 / 2: the nearest center by a plain dot product and a bias.
        bias = -np.square(kernel).sum(axis=1) / 2
    if head.normalised:
        x = layers.UnitNormalization(dtype="float32", name="unit_length")(x)
        # The scale goes into the kernel: one Dense layer is what every runtime knows, a scaled cosine is not.
        kernel = scale * kernel / np.maximum(np.linalg.norm(kernel, axis=1, keepdims=True), 1e-12)
    several = isinstance(head, SubCenter) and head.centers > 1
    layer = layers.Dense(
        len(kernel), use_bias=bias is not None, dtype="float32", name="centers" if several else "logits"
    )
    x = layer(x)
    # Heads keep [C, d], as sampling reads rows; Dense keeps [d, C].
    layer.set_weights([kernel.T, *([] if bias is None else [bias])])
    if several:  # the largest of each class's k cosines
        assert isinstance(head, SubCenter)
        x = layers.Reshape((len(kernel) // head.centers, head.centers), name="by_class")(x)
        x = layers.GlobalMaxPooling1D(name="logits")(layers.Permute((2, 1), name="by_center")(x))
    return x
