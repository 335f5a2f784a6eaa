"""What does MXNet's ResNet34 on CASIA need to be repeated in Keras: which decay, on which weights?

Cost: ten variants of 41 epochs of 490,623 images, 958 steps of 512 each.
Expected: L2 1e-3 or SGDW 1e-3 reach MXNet's agedb_30 of .945; no decay stays .02 below.
"""

import baseline_casia

from workbench import L2, SGD, SGDW, ArcFace, Coupled, Decoupled, E, FaceResNet, Stage

main = ArcFace(scale=64, form="trig")
base = baseline_casia.experiment.but(
    backbone=FaceResNet(layers=34),
    embedding=E(size=512, dropout=0.4, bias=True),
    stages=(Stage(loss=ArcFace(scale=32, form="trig"), epochs=1), Stage(loss=main, epochs=40)),
    optimizer=SGD(momentum=0.9),
    weight_decay=None,
    batch_size=512,
    name="sgd",
)  # the rate: 0.1 in epochs 1 to 20, 0.01 to 30, then 0.001
decoupled = base.but(optimizer=SGDW(momentum=0.9), weight_decay=5e-4, name="sgdw-5e-4")

experiments = [
    base,
    # MXNet starts at scale 64, and decays inside the gradient all weights but biases
    base.but(stages=Stage(loss=main, epochs=41), weight_decay=Coupled(5e-4, biases=False), name="mxnet"),
    decoupled,
    decoupled.but(weight_decay=1e-3, name="sgdw-1e-3"),
    decoupled.but(weight_decay=Decoupled(1e-3, norms=False), name="sgdw-1e-3-norms-free"),
    base.but(weight_decay=L2(5e-4), name="l2-5e-4"),
    base.but(weight_decay=L2(1e-3), name="l2-1e-3"),
    base.but(weight_decay=L2(5e-4, norms=False), name="l2-5e-4-norms-free"),
    base.but(weight_decay=L2(1e-3, norms=False), name="l2-1e-3-norms-free"),
    base.but(weight_decay=L2(1e-3, head=10), name="l2-1e-3-head-10"),
]
