"""How far do softmax, margin softmax and ArcFace in turn take MobileFaceNet on emore, and a triplet tail?

Cost: 64 epochs of 5,822,653 images in batches of 160 or 768; with squeeze-excite a trunk of 25 epochs at 640,
34 epochs in each of two branches and 50 of triplets at 1440; the other ways of the trunk 25 epochs each.
Expected: both batch sizes reach agedb_30 .943; squeeze-excite with triplets .958; smoothing adds little.
"""

import baseline_emore
from baseline_casia import norms

from workbench import (
    GDC,
    Adam,
    ArcFace,
    Center,
    Changed,
    Cosine,
    Exponential,
    Identities,
    MarginSoftmax,
    MobileFaceNet,
    Nadam,
    PReLUToDepthwise,
    Softmax,
    Stage,
    Triplet,
)

softmax = (Stage(loss=Softmax(), epochs=15), Stage(loss=MarginSoftmax(), epochs=10))
head_only = Stage(loss=ArcFace(scale=64), epochs=4, train="head", learning_rate=1e-3)
arcface = Stage(loss=ArcFace(scale=64), epochs=35)
triplets = tuple(
    Stage(
        loss=Triplet(alpha=alpha),
        epochs=epochs,
        batch_size=1440,
        sampler=Identities(identities=360, images=4),
    )
    for alpha, epochs in ((0.35, 10), (0.3, 10), (0.25, 10), (0.2, 20))
)
fall = Exponential(peak=1e-3, rate=0.1, hold=10)  # the head's four epochs do not move it
cosine = Cosine(peak=1e-3, floor=1e-7, cycle=7, decay=0.5, cooldown=0)  # 7 14 28 56: four cycles in 105

base = baseline_emore.experiment.but(
    backbone=MobileFaceNet(form="keras_insightface", prelu_start=0.0, **norms),
    embedding=GDC(size=256, dropout=0.4, **norms),
    stages=(*softmax, head_only, arcface),
    optimizer=Nadam(),
    learning_rate=fall,
    weight_decay=None,
    augment=3,
    batch_size=160,
    name="bs160",
)  # dropout and augmentation are those of the example that the page calls its training script
slow = fall.but(rate=0.05)

squeezed = base.but(
    backbone=base.backbone.but(squeeze_excite_ratio=1 / 16),
    stages=softmax,
    learning_rate=slow,
    label_smoothing=0.1,
    batch_size=640,
    name="se-softmax",
)
waved = squeezed.but(learning_rate=cosine, stages=Stage(loss=Softmax(), epochs=25), name="se-cosine-nadam")
centred = waved.but(stages=Stage(loss=Softmax() + Center(), epochs=25), name="se-cosine-center")
then = (head_only, arcface.but(epochs=30))

experiments = [
    base,
    base.but(batch_size=768, learning_rate=slow, augment=0, name="bs768"),
    squeezed,
    squeezed.branch(after_stage=2, stages=(*then, *triplets), label_smoothing=0.0, name="se-bs640"),
    squeezed.branch(after_stage=2, stages=then, name="se-bs640-smooth"),
    waved.but(optimizer=Adam(), name="se-cosine"),
    waved,
    centred,
    centred.but(
        backbone=Changed(backbone=squeezed.backbone, by=(PReLUToDepthwise(),)),
        name="se-cosine-center-prelu-replaced",
    ),
    waved.but(
        backbone=squeezed.backbone.but(activation="leaky_relu"),
        stages=centred.stages,
        name="se-cosine-center-leaky",
    ),
]
