"""What does a network of half the width learn from its teacher's embeddings, beyond the labels?

Cost: two runs a seed of a minute, one CPU core; the teacher is `base` of lfw_baseline.  `student-taught` needs the teacher's embeddings:
`workbench data distill lfw_baseline/base:0 'ImageFolder("lfw", min_images=4)' datasets/lfw_taught.tfrecord`.
Expected: the taught student stands between the student and the teacher.
`workbench table lfw_baseline lfw_distillation --baseline base`.
"""

from lfw_baseline import base

from workbench import CosFace, DistillEmbedding, Stage, TFRecords

small = base.backbone.but(width=0.125)
taught = TFRecords("lfw_taught.tfrecord", identities=610, images=6733, teacher=128)
lesson = CosFace(scale=32, margin=0.35) + 7 * DistillEmbedding()
baseline = "lfw_baseline/base"
experiments = [
    base.but(backbone=small, name="student"),
    base.but(
        backbone=small,
        data=taught,
        name="student-taught",
        stages=(base.stages[0], Stage(loss=lesson, epochs=6, name="taught")),
    ),
]
