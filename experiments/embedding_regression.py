"""Can a student learn from stored embeddings alone, without labels?

Cost: five variants of 70 epochs of 490,623 images.  Expected: close to ArcFace with the teacher beside it.
The records with a teacher come from `workbench data distill`, below WORKBENCH_DATA.
"""

import baseline_casia
from distillation_casia import dropped, r100, slow

from workbench import AdamW, ArcFace, DistillEmbedding, Stage

cosine, squared = DistillEmbedding(), DistillEmbedding(distance="squared")
base = baseline_casia.experiment.but(
    data=r100, embedding=dropped, stages=Stage(loss=cosine, epochs=70), name="cosine"
)

experiments = [
    base,
    base.but(stages=Stage(loss=squared, epochs=70), name="squared"),
    base.but(optimizer=AdamW(), learning_rate=slow, name="cosine-adamw"),
    base.but(
        stages=Stage(loss=squared, epochs=70), optimizer=AdamW(), learning_rate=slow, name="squared-adamw"
    ),
    base.but(stages=Stage(loss=ArcFace(scale=64) + 128 * cosine, epochs=70), name="arcface-128"),
]
