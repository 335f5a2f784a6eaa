"""How do rate, center loss, decay and triplet tails combine for MobileNets on emore at batch 1024?

Cost: twenty variants of 64 to 124 epochs of 5,822,653 images.
Expected: cosine and exponential end alike; the center loss helps softmax, and triplets most of all.
"""

import baseline_emore

from workbench import (
    GDC,
    Adam,
    AdamW,
    ArcFace,
    Center,
    Cosine,
    Exponential,
    Identities,
    MobileNetV2,
    MobileNetV3,
    Nadam,
    Softmax,
    Stage,
    Stages,
    Triplet,
)

arcface = ArcFace(scale=64)
groups = Identities(identities=256, images=4)
head_only = Stage(loss=arcface, epochs=4, train="head", learning_rate=1e-3)


def short(center: float = 0) -> Stages:
    """Return softmax 25, the head alone 4, ArcFace 35, with a center loss of some weight beside them."""
    beside = Center() * center if center else None
    soft, arc = (loss if beside is None else loss + beside for loss in (Softmax(), arcface))
    return Stages((Stage(loss=soft, epochs=25), head_only, Stage(loss=arc, epochs=35)))


def long(center: float, triplet: float, alpha: float = 0.3) -> Stages:
    """Return softmax with the center loss 60, the head alone 4, ArcFace 40, and a triplet tail of 20."""
    tail = arcface + triplet * Triplet(alpha=alpha)
    soft, arc = Softmax() + center * Center(), arcface + center * Center()
    return Stages(
        (
            Stage(loss=soft, epochs=60), head_only, Stage(loss=arc, epochs=40),
            Stage(loss=tail, epochs=20, sampler=groups),
        )
    )  # fmt: skip


base = baseline_emore.experiment.but(
    embedding=GDC(size=256),
    stages=short(),
    optimizer=Adam(),
    learning_rate=Exponential(peak=1e-3, rate=0.05, hold=10),
    weight_decay=None,
    batch_size=1024,
    name="adam",
)
decayed = base.but(stages=short(1), optimizer=AdamW(), weight_decay=1e-5, label_smoothing=0.1)

experiments = [
    base,
    base.but(optimizer=Nadam(), name="nadam"),
    base.but(learning_rate=Cosine(peak=1e-3, cycle=4), name="cosine-4"),
    base.but(optimizer=Nadam(), learning_rate=Cosine(peak=1e-3, cycle=5), name="cosine-5-nadam"),
    base.but(label_smoothing=0.1, name="smooth"),
    *(base.but(stages=short(weight), name=f"center-{weight}") for weight in (10, 32, 64, 128)),
    decayed.but(name="adamw-1e-5"),
    decayed.but(weight_decay=2e-5, name="adamw-2e-5"),
    decayed.but(weight_decay=5e-5, name="adamw-5e-5"),
    base.but(stages=long(64, 10), name="triplet-10"),
    base.but(stages=long(64, 20), name="triplet-20"),
    base.but(stages=long(64, 32), name="triplet-32"),
    base.but(stages=long(64, 64, alpha=0.2), name="triplet-64-alpha-0.2"),
    base.but(stages=long(64, 64), name="triplet-64"),
    base.but(stages=long(64, 64), label_smoothing=0.1, name="triplet-64-smooth"),
    base.but(backbone=MobileNetV2(), name="mobilenetv2"),
    base.but(backbone=MobileNetV3(variant="large"), name="mobilenetv3-large"),
]
