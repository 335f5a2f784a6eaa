"""How much does a small network on CIFAR-10 gain from a large teacher's softened logits?

Cost: a teacher and two students of 15 epochs of 50,000 images; the official 10,000 test images judge.
Expected: the taught student is a little ahead of the one from scratch, both behind the teacher.
`student-taught` needs the teacher's logits:
`workbench data distill RUN 'KerasData(name="cifar10")' datasets/cifar10_teacher.tfrecord --logits`.
"""

from workbench import (
    Adam,
    Dense,
    DistillLogits,
    Experiment,
    Features,
    KerasData,
    LeakyCNN,
    Softmax,
    Stage,
    TFRecords,
)

large = LeakyCNN(image_size=32, filters=(256, 512), pixels="unit")
small = large.but(filters=(16, 32))
taught = TFRecords("cifar10_teacher.tfrecord", identities=10, images=50000, teacher=10)

teacher = Experiment(
    data=KerasData("cifar10"),
    validation=KerasData("cifar10", subset="test"),
    backbone=large,
    embedding=Features(),
    stages=Stage(loss=Softmax(), epochs=15),
    optimizer=Adam(),
    learning_rate=0.001,
    batch_size=32,
    name="teacher",
)
soft = DistillLogits(temperature=10, alpha=0.1, head=Dense())

experiments = [
    teacher,
    teacher.but(backbone=small, name="student"),
    teacher.but(backbone=small, data=taught, stages=Stage(loss=soft, epochs=15), name="student-taught"),
]
