"""Can a student learn from stored embeddings alone, without labels, or with softmax beside them?

Cost: 200 epochs of 5,240,388 images of emore with softmax, 50 without labels; five variants of 70 epochs of CASIA.
Expected: close to ArcFace with the teacher beside it.
The records with a teacher come from `workbench data distill`, below WORKBENCH_DATA.
"""

import baseline_casia
import baseline_emore
from baseline_casia import norms
from distillation_casia import dropped, r100, slow

from workbench import (
    GAP,
    Adam,
    AdamW,
    ArcFace,
    DistillEmbedding,
    MobileNetV2,
    ReduceLROnPlateau,
    Softmax,
    Stage,
    TFRecords,
)

stored = TFRecords("emore_resnet.tfrecord", identities=85742, images=5822653, teacher=512, hold_out=0.1)
fit = DistillEmbedding(distance="mse", normalise=False)
labelled = baseline_emore.experiment.but(
    data=stored,
    backbone=MobileNetV2(),
    embedding=GAP(size=512, dropout=0.1, bias=True, normalised=False, **norms),
    stages=Stage(loss=Softmax() + fit, epochs=200),
    optimizer=Adam(),
    learning_rate=ReduceLROnPlateau(1e-3, factor=0.1, patience=5),
    weight_decay=None,
    augment=None,
    batch_size=128,
    name="softmax-mse",
)

cosine, squared = DistillEmbedding(), DistillEmbedding(distance="squared")
base = baseline_casia.experiment.but(
    data=r100, embedding=dropped, stages=Stage(loss=cosine, epochs=70), name="cosine"
)

experiments = [
    labelled,
    labelled.but(
        data=stored.but(hold_out=0.0),
        stages=Stage(loss=fit, epochs=50),
        learning_rate=1e-3,
        batch_size=100,
        name="mse",
    ),
    base,
    base.but(stages=Stage(loss=squared, epochs=70), name="squared"),
    base.but(optimizer=AdamW(), weight_decay=5e-5, learning_rate=slow, name="cosine-adamw"),
    base.but(
        stages=Stage(loss=squared, epochs=70),
        optimizer=AdamW(),
        weight_decay=5e-5,
        learning_rate=slow,
        name="squared-adamw",
    ),
    base.but(stages=Stage(loss=ArcFace(scale=64) + 128 * squared, epochs=70), name="arcface-128"),
]
