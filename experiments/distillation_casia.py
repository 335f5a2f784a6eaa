"""How much does a ResNet teacher's embedding add to ArcFace on CASIA, and how heavily should it weigh?

Cost: twelve variants of 70 epochs of 490,623 images.  Expected: agedb_30 .87 alone, .94 with ResNet100 at 64.
The records with a teacher come from `workbench data distill`, below WORKBENCH_DATA.
"""

import baseline_casia
from baseline_casia import ladder

from workbench import GDC, AdamW, DistillEmbedding, Steps, TFRecords

r34 = TFRecords("casia_r34.tfrecord", identities=10572, images=490623, teacher=512)
r100 = TFRecords("casia_r100.tfrecord", identities=10572, images=490623, teacher=512)
dropped = GDC(size=512, dropout=0.4)
teach = DistillEmbedding()

base = baseline_casia.experiment.but(embedding=GDC(size=512), name="base")
slow = Steps(peak=1e-3, factor=0.1, from_epochs=(21, 31))  # the ladder's rates for Adam


experiments = [
    base,
    base.but(embedding=dropped, name="dropout"),
    base.but(data=r34, stages=ladder(extra=7 * teach), name="r34-7"),
    base.but(data=r100, stages=ladder(extra=7 * teach), name="r100-7"),
    base.but(data=r100, stages=ladder(extra=7 * teach), embedding=dropped, name="r100-7-dropout"),
    base.but(data=r100, stages=ladder(extra=32 * teach), embedding=dropped, name="r100-32-dropout"),
    base.but(data=r100, stages=ladder(extra=64 * teach), embedding=dropped, name="r100-64-dropout"),
    base.but(
        data=r100, stages=ladder(extra=64 * teach), embedding=dropped, optimizer=AdamW(), learning_rate=slow,
        name="r100-64-dropout-adamw",
    ),
    base.but(data=r100, stages=ladder(extra=128 * teach), name="r100-128"),
    base.but(data=r100, stages=ladder(extra=128 * teach), embedding=dropped, name="r100-128-dropout"),
    base.but(data=r100, stages=ladder(extra=128 * teach), embedding=GDC(size=256), name="r100-128-256"),
    base.but(
        data=r100, stages=ladder(extra=128 * teach), embedding=GDC(size=256, dropout=0.4),
        name="r100-128-256-dropout",
    ),
]  # fmt: skip
