"""How much does a ResNet teacher's embedding add to ArcFace on CASIA, and how heavily should it weigh?

Cost: twelve variants of 70 epochs of 490,623 images, and one epoch of a MobileNetV2 with softmax.
Expected: agedb_30 .87 alone, .94 with ResNet100 at 64.
The records with a teacher come from `workbench data distill`, below WORKBENCH_DATA. The r34 teacher is
`sgdw-5e-4-head-10` of resnet34_casia at its epoch 37, the r100 one InsightFace's r100-arcface-msfdrop75.
"""

import baseline_casia
from baseline_casia import ladder, norms

from workbench import GAP, Adam, AdamW, DistillEmbedding, E, MobileNetV2, Softmax, Stage, Steps, TFRecords

r34 = TFRecords("casia_r34.tfrecord", identities=10572, images=490623, teacher=512)
r100 = TFRecords("casia_r100.tfrecord", identities=10572, images=490623, teacher=512)
plain, dropped = E(size=512, **norms), E(size=512, dropout=0.4, **norms)
teach = DistillEmbedding(distance="squared")  # the sum of squared differences of unit vectors: 2 (1 - cos)
t4 = {"form": "trig", "beyond": "sine"}  # the author's "arcT4", as MXNet computes ArcFace

base = baseline_casia.experiment.but(embedding=plain, name="base")
slow = Steps(peak=1e-3, factor=0.1, from_epochs=(21, 31))  # the ladder's rates for Adam
taught, taught64, taught128 = (
    ladder(extra=7 * teach),
    ladder(extra=64 * teach, **t4),
    ladder(extra=128 * teach),
)

experiments = [
    base,
    base.but(embedding=dropped, name="dropout"),
    base.but(data=r34, stages=taught, name="r34-7"),
    base.but(data=r100, stages=taught, name="r100-7"),
    base.but(data=r100, stages=taught, embedding=dropped, name="r100-7-dropout"),
    base.but(data=r100, stages=ladder(extra=32 * teach, **t4), embedding=dropped, name="r100-32-dropout"),
    base.but(data=r100, stages=taught64, embedding=dropped, name="r100-64-dropout"),
    base.but(
        data=r100,
        stages=taught64,
        embedding=dropped,
        optimizer=AdamW(),
        weight_decay=5e-5,
        learning_rate=slow,
        name="r100-64-dropout-adamw",
    ),
    base.but(data=r100, stages=taught128, name="r100-128"),
    base.but(data=r100, stages=taught128, embedding=dropped, name="r100-128-dropout"),
    base.but(data=r100, stages=taught128, embedding=E(size=256, **norms), name="r100-128-256"),
    base.but(
        data=r100, stages=taught128, embedding=E(size=256, dropout=0.4, **norms), name="r100-128-256-dropout"
    ),
    base.but(
        data=TFRecords("casia_256.tfrecord", identities=10572, images=490623, teacher=256),
        backbone=MobileNetV2(),
        embedding=GAP(size=256, bias=True, normalised=False, **norms),
        stages=Stage(loss=Softmax() + 7 * teach, epochs=1),
        optimizer=Adam(),
        learning_rate=1e-3,
        weight_decay=None,
        augment=None,
        batch_size=64,
        name="softmax-7-mobilenetv2",
    ),
]
