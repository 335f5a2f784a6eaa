"""The logits of a run as a model: its network and the classification head of its last stage.

What `workbench data distill --logits` records for students that learn from logits (`DistillLogits`).
"""

from __future__ import annotations

import numpy as np

from workbench.errors import RecordError
from workbench.lazy import tf
from workbench.models.heads.full import Dense
from workbench.verification import models
from workbench.verification.embedders import Embedder

KERNEL, BIAS = "head/00000", "head/00001"  # the names of a head's weights in a checkpoint


def logits_of(text: str) -> Embedder:
    """Return what gives the logits [B, C] of a run, from its last checkpoint, which alone holds the head.

    Raises `RecordError` where its head gives none.
    """
    from workbench.train import checkpoint
    from workbench.train.from_record import load_model, open_run

    found = open_run(text, None)
    head = found.experiment.plans()[-1].loss.classifier()
    if not isinstance(head, Dense):
        raise RecordError(
            f"its last stage has the head {type(head).__name__ if head else None}", where=found.run,
            expected="Dense logits", do="distill its embeddings instead, without --logits",
        )  # fmt: skip
    state = checkpoint.newest(found.checkpoints)
    if state is None or KERNEL not in state.arrays:
        raise RecordError("has no checkpoint with a head", where=found.run, do="choose a run that has one")
    bias = state.arrays[BIAS] if head.bias else None
    embedder = load_model(found.experiment, found.checkpoints, "last")
    return models.from_keras(with_logits(embedder, state.arrays[KERNEL], bias), f"run {found.run}, logits")


def with_logits(network: tf.keras.Model, kernel: np.ndarray, bias: np.ndarray | None) -> tf.keras.Model:
    """Return the network followed by x.w_j + b_j; `kernel` is [C, d], `bias` [C]."""
    layer = tf.keras.layers.Dense(len(kernel), use_bias=bias is not None, dtype="float32", name="logits")
    outputs = layer(network.output)
    layer.set_weights([kernel.T, *([] if bias is None else [bias])])
    return tf.keras.Model(network.input, outputs)
