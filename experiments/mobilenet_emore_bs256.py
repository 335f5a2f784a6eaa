"""After 80 epochs of softmax with a growing center loss, what do triplets beside ArcFace add to MobileNet?

Cost: a trunk of 80 epochs of 5,822,653 images at batch 256, seven branches of 42 to 92, and 102 from scratch.
Expected: triplets at weight 64 with a falling alpha reach agedb_30 .955; ArcFace alone .951.
"""

import baseline_emore

from workbench import GDC, AdamW, ArcFace, Center, Exponential, Identities, Softmax, Stage, Stages, Triplet

arcface = ArcFace(scale=64)
groups = Identities(identities=64, images=4)
head_only = Stage(loss=arcface, epochs=2, train="head", learning_rate=1e-3)
again = {"schedule_start": 66}  # where the recorded rates of the branches begin

trunk = baseline_emore.experiment.but(
    embedding=GDC(size=256),
    stages=tuple(
        Stage(loss=Softmax() + weight * Center(), epochs=10) for weight in (1, 10, 20, 30, 40, 50, 60, 70)
    ),
    optimizer=AdamW(),
    learning_rate=Exponential(peak=1e-3, rate=0.05, hold=10),
    weight_decay=5e-5,
    label_smoothing=0.1,
    batch_size=256,
    name="softmax-center",
)


def tail(*terms: tuple[float, float, int]) -> Stages:
    """Return the head alone 2, then ArcFace with triplets for each (weight, alpha, epochs)."""
    stages = [
        Stage(loss=arcface + weight * Triplet(alpha=alpha), epochs=epochs, sampler=groups)
        for weight, alpha, epochs in terms
    ]
    return Stages((head_only, stages[0].but(**again), *stages[1:]))


def falling(weight: float) -> Stages:
    """Return the whole tail with alpha .35 .3 .25 .2 .15."""
    return tail(*((weight, a, n) for a, n in ((0.35, 10), (0.3, 10), (0.25, 10), (0.2, 10), (0.15, 50))))


plain = (head_only, Stage(loss=arcface, epochs=40, **again))
mixed = tail((32, 0.35, 10), (32, 0.3, 10), (64, 0.3, 40))
scratch = (
    Stage(loss=Softmax() + 64 * Triplet(alpha=0.35), epochs=20, sampler=groups),
    head_only,
    *(
        Stage(loss=arcface + 64 * Triplet(alpha=alpha), epochs=20, sampler=groups)
        for alpha in (0.35, 0.3, 0.25, 0.2)
    ),
)

experiments = [
    trunk,
    trunk.branch(after_stage=8, stages=plain, name="arcface"),
    trunk.branch(after_stage=8, stages=falling(32), name="triplet-32"),
    trunk.branch(after_stage=8, stages=mixed, name="triplet-32-then-64"),
    trunk.branch(after_stage=8, stages=tail((64, 0.35, 10), (64, 0.3, 40)), name="triplet-64"),
    trunk.branch(after_stage=8, stages=falling(64), name="triplet-64-falling"),
    trunk.branch(after_stage=8, stages=tail((128, 0.35, 10), (128, 0.3, 40)), name="triplet-128"),
    trunk.branch(after_stage=8, stages=falling(128), name="triplet-128-falling"),
    trunk.but(stages=scratch, name="scratch"),
]
