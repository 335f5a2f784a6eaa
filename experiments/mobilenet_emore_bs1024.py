"""How do rate, center loss, decay and triplet tails combine for MobileNets on emore at batch 1024?

Cost: thirty-two variants of 10 to 172 epochs of 5,822,653 images; branches share seven trunks.
Expected: cosine and exponential end alike; the center loss helps softmax, and triplets most of all.

The pages label these runs by their stages alone. `restarts=4` and 5 are cycles within the author's 105 epochs; tails
called "alpha decay" take the margins of batch 256; "A10" is a new margin every ten epochs.
"""

import baseline_emore
from baseline_casia import norms
from mobilenet_emore_bs256 import arcface, centred, falling

from workbench import (
    GDC,
    Adam,
    AdamW,
    Center,
    Cosine,
    Experiment,
    Exponential,
    Identities,
    MobileNetV2,
    MobileNetV3,
    Nadam,
    Softmax,
    Stage,
    Triplet,
)

groups = Identities(identities=256, images=4)
head_only = Stage(loss=arcface, epochs=4, train="head", learning_rate=1e-3)
soft, arc = Stage(loss=Softmax(), epochs=25), Stage(loss=arcface, epochs=35)
arc_center, arc64 = arc.but(loss=arcface + Center()), arc.but(loss=arcface + 64 * Center())


def triplets(weight: float, alpha: float, epochs: int, beside: object = None) -> Stage:
    """Return triplets beside softmax or another loss."""
    loss = (beside or Softmax()) + weight * Triplet(alpha=alpha)
    return Stage(loss=loss, epochs=epochs, sampler=groups)


gdc, dropout = GDC(size=256, **norms), GDC(size=256, dropout=0.4, **norms)
base = baseline_emore.experiment.but(
    embedding=gdc,
    stages=(soft, head_only, arc),
    optimizer=Adam(),
    learning_rate=Exponential(peak=1e-3, rate=0.05, hold=10),
    weight_decay=None,
    batch_size=1024,
    name="adam",
)
waves = Cosine(peak=1e-3, floor=1e-7, cycle=7, decay=0.5, cooldown=0)
sixty = base.but(stages=(centred(1, 60), head_only, arc_center.but(epochs=40)), name="center-60")
beside = Softmax() + Center()
schedule = base.but(
    stages=(centred(1, 25, weight_decay=1e-5), centred(10, 25), centred(32, 20), centred(64, 35)),
    optimizer=AdamW(),
    weight_decay=5e-5,
    label_smoothing=0.1,
    name="adamw",
)


def v2(decay: float, name: str) -> Experiment:
    """Return MobileNetV2's trunk at a decay."""
    stages = (centred(1, 60), centred(64, 20), centred(128, 20))
    return schedule.but(backbone=MobileNetV2(), stages=stages, weight_decay=decay, name=name)


def branch(start: Experiment, epoch: int, stages: object, name: str) -> Experiment:
    """Return a branch that is no longer smoothed."""
    return start.branch(at_epoch=epoch, stages=stages, label_smoothing=0.0, name=f"{start.name}-{name}")


trunks = v2(5e-5, "v2"), v2(1e-4, "v2-1e-4")
tens = (head_only, *(triplets(64, alpha, 10, arcface) for alpha in (0.35, 0.3, 0.25, 0.2)))
trunk = schedule.but(stages=tuple(centred(w) for w in (1, 10, 20, 30, 40, 50, 60, 70)), name="mobilenet")
large = trunk.but(backbone=MobileNetV3(variant="large"), name="v3-large")

experiments = [
    base,
    base.but(optimizer=Nadam(), name="nadam"),
    base.but(learning_rate=waves, name="cosine-4"),
    base.but(optimizer=Nadam(), learning_rate=waves.but(cycle=3), name="cosine-5-nadam"),
    base.but(stages=(centred(1, 25), head_only, arc_center), name="center"),
    sixty,
    sixty.branch(after_stage=2, label_smoothing=0.1, name="center-60-arc-smooth", stages=arc64),
    *(
        sixty.branch(
            after_stage=1, stages=stage, label_smoothing=smoothing, name=f"center-60-triplet{name}{smooth}"
        )
        for name, stage in (("", triplets(10, 0.35, 12)), ("-center", triplets(10, 0.35, 30, beside)))
        for smoothing, smooth in ((0.0, ""), (0.1, "-smooth"))
    ),
    schedule,
    *(
        schedule.branch(
            at_epoch=105, stages=triplets(weight, alpha, epochs), name=f"adamw-105-triplet-{weight}"
        )
        for weight, alpha, epochs in ((10, 0.3, 5), (20, 0.3, 5), (32, 0.3, 25), (64, 0.2, 5))
    ),
    *(branch(schedule, epoch, (head_only, arc), f"{epoch}-arcface") for epoch in (25, 70)),
    schedule.but(embedding=dropout, stages=soft.but(epochs=10), name="adamw-dropout"),
    *trunks,
    *(
        branch(start, 80, stages, name)
        for start in trunks
        for name, stages in (
            ("triplet-64", (head_only, triplets(64, 0.35, 20, arcface))),
            ("triplet-32", (head_only, triplets(32, 0.35, 20, arcface))),
            ("triplet-64-tens", tens),
        )
        if (start.name, name) != ("v2-1e-4", "triplet-32")
    ),
    trunk,
    large,
    *(branch(start, 80, falling(w, 1024), f"triplet-{w}") for start in (trunk, large) for w in (64, 32)),
]
