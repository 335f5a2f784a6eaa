"""What does one epoch of another loss do to a MobileNet after six epochs of ArcFace?

Cost: a trunk of 6 epochs of 5,822,653 images at batch 128 and eight branches of 1.
Expected: softmax and ArcFace agree; triplets gain on cfp_fp or fall behind; semi-hard loses most.
"""

from typing import Any

import baseline_emore
from baseline_casia import norms

from workbench import (
    GDC,
    Adam,
    ArcFace,
    Center,
    Experiment,
    Identities,
    MarginSoftmax,
    ScaledSoftmax,
    Softmax,
    Stage,
    Triplet,
)

trunk = baseline_emore.experiment.but(
    embedding=GDC(size=256, dropout=0.4, **norms),
    stages=Stage(loss=ArcFace(scale=64), epochs=6),
    optimizer=Adam(),
    learning_rate=0.001,
    weight_decay=None,
    augment=3,
    batch_size=128,
    name="original",
)


def seventh(loss: Any, name: str, **settings: Any) -> Experiment:
    """Return the trunk with one epoch of `loss` after it, by an Adam of its own."""
    stage = Stage(loss=loss, epochs=1, optimizer_state="reset", **settings)
    return trunk.branch(after_stage=1, stages=stage, name=name)


# the loss of TensorFlow Addons, whose margin is 1 and which takes embeddings as they are
semi_hard = Triplet(mining="semi-hard", distance="squared", alpha=1, normalise=False)
four_of_each = Identities(identities=32, images=4)

experiments = [
    trunk,
    seventh(Softmax(), "softmax"),
    seventh(MarginSoftmax(), "margin-softmax"),
    seventh(ScaledSoftmax(), "scaled-softmax"),
    seventh(ArcFace(scale=64), "arcface"),
    seventh(ArcFace(scale=64) + Center(), "center-arcface"),
    seventh(Triplet(), "batch-hard", sampler=four_of_each),
    seventh(Triplet(mining="all-pairs"), "batch-all", sampler=four_of_each),
    seventh(semi_hard, "semi-hard", sampler=four_of_each),
]
