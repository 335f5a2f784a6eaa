"""Does a teacher's embedding still help a MobileNet that has MS1MV3's five million images?

Cost: thirteen variants of 90 epochs, twelve of 5,179,510 images (12,948 steps of 400 each) and one on Glint.
Expected: a smaller gain than on CASIA.  The records come from `workbench data distill`.
"""

import baseline_casia
import baseline_ms1m
from baseline_casia import ladder, norms

from workbench import GDC, AdamW, DistillEmbedding, Steps, TFRecords

r34 = TFRecords("ms1m_r34.tfrecord", identities=93431, images=5179510, teacher=512)
r100 = TFRecords("ms1m_r100.tfrecord", identities=93431, images=5179510, teacher=512)
glint = TFRecords("glint_r100.tfrecord", identities=180855, teacher=512)
teach = DistillEmbedding(distance="squared")
plain = GDC(size=512, dropout=0.4, pointwise=512, pointwise_activation="prelu", **norms)

base = baseline_casia.experiment.but(
    data=baseline_ms1m.faces, stages=ladder(60), embedding=plain, precision="mixed_float16", name="base"
)
slow = Steps(peak=1e-3, factor=0.1, from_epochs=(21, 31))
taught = ladder(60, 128 * teach)

experiments = [
    base,
    base.but(embedding=plain.but(dropout=0), name="no-dropout"),
    base.but(data=r34, stages=taught, name="r34-128"),
    base.but(data=r100, stages=ladder(60, 7 * teach), name="r100-7"),
    base.but(data=r100, stages=ladder(60, 32 * teach), name="r100-32"),
    base.but(data=r100, stages=ladder(60, 64 * teach), name="r100-64"),
    base.but(data=r100, stages=taught, name="r100-128"),
    base.but(data=r100, stages=taught, embedding=plain.but(dropout=0), name="r100-128-no-dropout"),
    base.but(data=r100, stages=taught, embedding=plain.but(size=256), name="r100-128-256"),
    base.but(
        data=r100,
        stages=taught,
        optimizer=AdamW(),
        weight_decay=5e-5,
        learning_rate=slow,
        name="r100-128-adamw",
    ),
    base.but(data=r100, stages=taught, weight_decay=1e-3, name="r100-128-1e-3"),
    base.but(data=r100, stages=taught, embedding=plain.but(pointwise=None), name="r100-128-no-pointwise"),
    base.but(data=glint, stages=taught, name="r100-128-glint"),
]
