"""The logits of a run as a model: its network and the classification head of its last stage.

What `workbench data distill --logits` records for students that learn from logits (`DistillLogits`).
"""

from __future__ import annotations

from workbench.errors import RecordError
from workbench.models.heads.full import Dense
from workbench.train.from_record import load_model, open_run
from workbench.verification import models
from workbench.verification.embedders import Embedder


def logits_of(text: str, trust_code: bool = False) -> Embedder:
    """Return what gives the logits [B, C] of a run, from its last checkpoint.

    Raises `RecordError` where its head gives none.
    """
    found = open_run(text, None, trust_code=trust_code)
    head = found.experiment.plans()[-1].loss.classifier()
    if not isinstance(head, Dense):
        raise RecordError(
            f"its last stage has the head {type(head).__name__ if head else None}",
            where=found.run,
            expected="Dense logits",
            do="distill its embeddings instead, without --logits",
        )
    network = load_model(found.experiment, found.checkpoints, "last", "logits")
    return models.from_keras(network, f"run {found.run}, logits")
