"""What do softmax, ArcFace and triplets in turn reach with ResNet101V2 on emore, with one GPU and with two?

Cost: 94 epochs of 5,822,653 images at batch 896; the second variant doubles it when ArcFace begins, on two GPUs;
134 epochs at batch 1024 with margin softmax and twice as much ArcFace; 114 with five margins of triplets.
Expected: agedb_30 .97 after the triplets; the doubled batch changes little.
Two GPUs compute what one does, so that variant has them from the start; one large one: `--set "devices=OneDevice()"`.
"""

from collections.abc import Sequence

import baseline_emore
from baseline_casia import norms

from workbench import (
    GDC,
    ArcFace,
    Experiment,
    Exponential,
    Identities,
    MarginSoftmax,
    Mirrored,
    Nadam,
    ResNetV2,
    Softmax,
    Stage,
    Triplet,
)

ALPHAS = (0.35, 0.3, 0.25)
head_only = Stage(loss=ArcFace(scale=64), epochs=4, train="head", learning_rate=1e-3)


def tail(
    batch: int, alphas: Sequence[float] = ALPHAS, epochs: Sequence[int] = (10,) * 5
) -> tuple[Stage, ...]:
    """Return stages of triplets in batches of `batch`, four images of each person."""
    groups = Identities(identities=batch // 4, images=4)
    return tuple(
        Stage(loss=Triplet(alpha=alpha), epochs=length, batch_size=batch, sampler=groups)
        for alpha, length in zip(alphas, epochs)
    )


def stages(batch: int, arcface: int = 35, alphas: Sequence[float] = ALPHAS) -> tuple[Stage, ...]:
    """Return softmax 25, the head alone 4, then ArcFace and triplets in batches of `batch`."""
    arc = Stage(loss=ArcFace(scale=64), epochs=arcface, batch_size=batch)
    return (Stage(loss=Softmax(), epochs=25), head_only, arc, *tail(batch, alphas))


def on_two_gpus(base: Experiment, batch: int, arcface: int = 35) -> Experiment:
    """Return the variant on two GPUs, in batches of `batch` once ArcFace begins."""
    return base.but(stages=stages(batch, arcface), devices=Mirrored(count=2), name=f"bs{batch}")


base = baseline_emore.experiment.but(
    backbone=ResNetV2(layers=101),
    embedding=GDC(size=512, dropout=0.4, **norms),
    stages=stages(896),
    optimizer=Nadam(),
    learning_rate=Exponential(peak=1e-3, rate=0.05, hold=10),
    weight_decay=None,
    label_smoothing=0.1,
    batch_size=896,
    name="bs896",
)

long = (
    Stage(loss=Softmax(), epochs=15),
    Stage(loss=MarginSoftmax(), epochs=10),
    head_only,
    Stage(loss=ArcFace(scale=64), epochs=65),
    *tail(1024, (*ALPHAS, 0.2), (15, 5, 5, 15)),
)

experiments = [
    base,
    on_two_gpus(base, 1792),
    base.but(stages=long, label_smoothing=0.0, batch_size=1024, name="bs1024"),
    base.but(stages=stages(896, alphas=(*ALPHAS, 0.2, 0.15)), name="bs896-five-margins"),
]
