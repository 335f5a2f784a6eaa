"""After 80 epochs of softmax with a growing center loss, what do triplets beside ArcFace add to MobileNet?

Cost: a trunk of 80 epochs of 5,822,653 images at batch 256, seven branches of 42 to 92, and 102 from scratch.
Expected: triplets at weight 64 with a falling alpha reach agedb_30 .955; ArcFace alone .951.

The recorded histories decide where the page is silent or contradicts itself: the trunk's rate skips one epoch
(a restart at epoch 66); two branches go on from there and the others from epoch 80; the labels give
`triplet-64` alpha .3, and its losses are those of .35 to the third digit; 32-then-64 holds .3 for 40 epochs, then
.25 and .2. Smoothing belongs to the softmax: the page names it where an ArcFace has it. The trunk's file has the
name that another section's script saves under, which reads its images with random 3.
"""

import baseline_emore
from baseline_casia import norms

from workbench import GDC, AdamW, ArcFace, Center, Exponential, Identities, Softmax, Stage, Stages, Triplet

arcface = ArcFace(scale=64)
head_only = Stage(loss=arcface, epochs=2, train="head", learning_rate=1e-3)


def centred(weight: float, epochs: int = 10, **settings: float) -> Stage:
    """Return softmax with the center loss at a weight."""
    return Stage(loss=Softmax() + weight * Center(), epochs=epochs, **settings)


def tail(start: float, *terms: tuple[float, float, int], batch: int = 256) -> Stages:
    """Return the head alone 2, then ArcFace with triplets for each (weight, alpha, epochs).

    The rates go on from epoch `start` of the trunk's schedule.
    """
    groups = Identities(identities=batch // 4, images=4)
    stages = [
        Stage(loss=arcface + weight * Triplet(alpha=alpha), epochs=epochs, sampler=groups)
        for weight, alpha, epochs in terms
    ]
    return Stages((head_only, stages[0].but(schedule_start=start), *stages[1:]))


def falling(weight: float, batch: int = 256) -> Stages:
    """Return the whole tail with alpha .35 .3 .25 .2 .15."""
    alphas = ((0.35, 10), (0.3, 10), (0.25, 10), (0.2, 10), (0.15, 50))
    return tail(80, *((weight, alpha, epochs) for alpha, epochs in alphas), batch=batch)


trunk = baseline_emore.experiment.but(
    embedding=GDC(size=256, **norms),
    stages=(
        *(centred(weight) for weight in (1, 10, 20, 30, 40, 50)),
        centred(60, 5),
        centred(60, 5, schedule_start=66),
        centred(70),
    ),
    optimizer=AdamW(),
    learning_rate=Exponential(peak=1e-3, rate=0.05, hold=10),
    weight_decay=5e-5,
    label_smoothing=0.1,
    augment=3,
    batch_size=256,
    name="softmax-center",
)
plain = (head_only, Stage(loss=arcface, epochs=40, schedule_start=66))
mixed = tail(66, (32, 0.3, 20), (64, 0.3, 20), (64, 0.25, 10), (64, 0.2, 10))
scratch = (
    Stage(loss=Softmax() + 64 * Triplet(alpha=0.35), epochs=20, sampler=Identities(identities=64, images=4)),
    *(
        stage.but(schedule_start=None, label_smoothing=0.0)
        for stage in tail(0, (64, 0.35, 20), (64, 0.3, 20), (64, 0.25, 20), (64, 0.2, 20))
    ),
)

experiments = [
    trunk,
    *(
        trunk.branch(at_epoch=80, stages=stages, label_smoothing=0.0, name=name)
        for name, stages in (
            ("arcface", plain),
            ("triplet-32", falling(32)),
            ("triplet-32-then-64", mixed),
            ("triplet-64", tail(80, (64, 0.35, 40))),
            ("triplet-64-falling", falling(64)),
            ("triplet-128", tail(80, (128, 0.3, 40))),
            ("triplet-128-falling", falling(128)),
        )
    ),
    trunk.but(stages=scratch, name="scratch"),
]
