"""What do softmax, ArcFace and triplets in turn reach with ResNet101V2 on emore, with one GPU and with two?

Cost: 94 epochs of 5,822,653 images at batch 896; the second variant doubles it when ArcFace begins, on two GPUs.
Expected: agedb_30 .97 after the triplets; the doubled batch changes little.
Two GPUs compute what one does, so that variant has them from the start; one large one: `--set "devices=OneDevice()"`.
"""

import baseline_emore

from workbench import (
    GDC,
    ArcFace,
    Experiment,
    Exponential,
    Identities,
    Mirrored,
    Nadam,
    ResNetV2,
    Softmax,
    Stage,
    Triplet,
)


def stages(batch: int, arcface: int = 35) -> tuple[Stage, ...]:
    """Return softmax 25, the head alone 4, then ArcFace and triplets 30 in batches of `batch`."""
    groups = Identities(identities=batch // 4, images=4)
    return (
        Stage(loss=Softmax(), epochs=25),
        Stage(loss=ArcFace(scale=64), epochs=4, train="head", learning_rate=1e-3),
        Stage(loss=ArcFace(scale=64), epochs=arcface, batch_size=batch),
        *(
            Stage(loss=Triplet(alpha=alpha), epochs=10, batch_size=batch, sampler=groups)
            for alpha in (0.35, 0.3, 0.25)
        ),
    )


def on_two_gpus(base: Experiment, batch: int, arcface: int = 35) -> Experiment:
    """Return the variant on two GPUs, in batches of `batch` once ArcFace begins."""
    return base.but(stages=stages(batch, arcface), devices=Mirrored(count=2), name=f"bs{batch}")


base = baseline_emore.experiment.but(
    backbone=ResNetV2(layers=101),
    embedding=GDC(size=512),
    stages=stages(896),
    optimizer=Nadam(),
    learning_rate=Exponential(peak=1e-3, rate=0.05, hold=10),
    weight_decay=None,
    label_smoothing=0.1,
    batch_size=896,
    name="bs896",
)

experiments = [base, on_two_gpus(base, 1792)]
