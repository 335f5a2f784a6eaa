"""What does MXNet's ResNet34 on CASIA need to be repeated in Keras: which decay, on which weights?

Cost: fifteen variants of 41 to 62 epochs of 490,623 images, 958 steps of 512 each.
Expected: L2 1e-3 or SGDW 1e-3 reach MXNet's agedb_30 of .945; no decay stays .02 below.
Lengths beyond 41 are those of the recorded histories; the start of weights, and ReLU where MXNet has PReLU, are those
of the author's public code.
"""

import baseline_casia

from workbench import (
    L2,
    SGD,
    SGDW,
    AdamW,
    ArcFace,
    Coupled,
    Decoupled,
    E,
    FaceResNet,
    Softmax,
    Stage,
    Steps,
)


def warmed(epochs: int = 1, main: int = 40, form: str = "trig") -> tuple[Stage, ...]:
    """Return ArcFace at scale 32 and 64; "trig" is the author's T4, MXNet's formula, "acos" his other class."""
    beyond = "sine" if form == "trig" else "monotone"
    return tuple(
        Stage(loss=ArcFace(scale=scale, form=form, beyond=beyond), epochs=length)
        for scale, length in ((32, epochs), (64, main))
    )


head = E(size=512, dropout=0.4, bias=True, norm_epsilon=2e-5)
base = baseline_casia.experiment.but(
    backbone=FaceResNet(layers=34, activation="relu", norm_epsilon=2e-5, kernel_initializer="he_fan_out"),
    embedding=head,
    stages=warmed(5, 36),
    optimizer=SGD(momentum=0.9),
    weight_decay=None,
    batch_size=512,
    name="sgd",
)  # the rate: 0.1 in epochs 1 to 20, 0.01 to 30, then 0.001
one, main = base.but(stages=warmed()), ArcFace(scale=64, form="trig", beyond="sine")
decoupled = base.but(optimizer=SGDW(momentum=0.9), weight_decay=5e-4, name="sgdw-5e-4")
ten = Decoupled(5e-4, head_l2=10)
soft = (Stage(loss=Softmax(), epochs=1), Stage(loss=ArcFace(scale=64), epochs=40))
slow = Steps(peak=1e-3, factor=0.1, from_epochs=(21, 31))

experiments = [
    base,
    # MXNet starts at scale 64, decays inside the gradient all weights but biases, and fixes the last gamma at 1
    base.but(
        backbone=base.backbone.but(activation="prelu"),
        stages=Stage(loss=main, epochs=62),
        weight_decay=Coupled(5e-4, biases=False),
        embedding=head.but(norm_scale=False),
        name="mxnet",
    ),
    decoupled,
    decoupled.but(stages=warmed(), weight_decay=ten, name="sgdw-5e-4-head-10"),
    decoupled.but(
        stages=Stage(loss=main, epochs=41),
        weight_decay=ten,
        embedding=head.but(norm_scale=False),
        name="sgdw-5e-4-head-10-fixed-gamma",
    ),
    decoupled.but(
        stages=soft, weight_decay=ten, augment=3, batch_size=480, name="sgdw-5e-4-head-10-softmax-random-3"
    ),
    decoupled.but(
        stages=soft, optimizer=AdamW(), weight_decay=5e-5, learning_rate=slow, name="adamw-5e-5-softmax"
    ),
    decoupled.but(stages=warmed(1, 50, "acos"), weight_decay=1e-3, name="sgdw-1e-3"),
    decoupled.but(
        stages=warmed(1, 40, "acos"), weight_decay=Decoupled(1e-3, norms=False), name="sgdw-1e-3-norms-free"
    ),
    one.but(stages=warmed(1, 40, "acos"), weight_decay=L2(5e-4), name="l2-5e-4"),
    one.but(weight_decay=L2(1e-3), name="l2-1e-3"),
    one.but(weight_decay=L2(5e-4, norms=False), name="l2-5e-4-norms-free"),
    one.but(weight_decay=L2(1e-3, norms=False), name="l2-1e-3-norms-free"),
    one.but(weight_decay=L2(1e-3, head=10), name="l2-1e-3-head-10"),
]
