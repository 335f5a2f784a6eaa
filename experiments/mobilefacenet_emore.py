"""How far do softmax, margin softmax and ArcFace in turn take MobileFaceNet on emore, and a triplet tail?

Cost: 64 epochs of 5,822,653 images in batches of 160 or 768; with squeeze-excite 109 epochs at 640 and 1440.
Expected: both batch sizes reach agedb_30 .943; squeeze-excite with triplets .958; smoothing adds little.
"""

import baseline_emore

from workbench import (
    GDC,
    ArcFace,
    Exponential,
    Identities,
    MarginSoftmax,
    MobileFaceNet,
    Nadam,
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

base = baseline_emore.experiment.but(
    backbone=MobileFaceNet(),
    embedding=GDC(size=256),
    stages=(*softmax, head_only, arcface),
    optimizer=Nadam(),
    learning_rate=fall,
    weight_decay=None,
    batch_size=160,
    name="bs160",
)
squeezed = base.but(
    backbone=MobileFaceNet(squeeze_excite_ratio=1 / 16),
    stages=(*softmax, head_only, arcface.but(epochs=30), *triplets),
    batch_size=640,
    name="se-bs640",
)
smooth = tuple(stage.but(label_smoothing=0.1) for stage in squeezed.stages[:4])

experiments = [
    base,
    base.but(batch_size=768, learning_rate=fall.but(rate=0.05), name="bs768"),
    squeezed,
    squeezed.but(stages=(*smooth, *triplets), name="se-bs640-smooth"),
]
