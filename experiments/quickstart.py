"""Does a short head-only stage help when training moves on from softmax to ArcFace?

Cost: two variants of 8 epochs on 24 drawn identities, about two minutes on two CPU cores.
Expected: both verify unseen drawn faces well above chance; the head-only stage costs little.
"""

from workbench import (
    GDC,
    SGD,
    ArcFace,
    Cosine,
    Experiment,
    Flip,
    HeldOutPairs,
    MobileFaceNet,
    Softmax,
    Stage,
    SyntheticFaces,
)

faces = SyntheticFaces(identities=32, images=24, hold_out=0.1)

base = Experiment(
    data=faces,
    evaluate=HeldOutPairs(identities=8, pairs=600, name="unseen"),
    backbone=MobileFaceNet(image_size=48, width=0.5),
    embedding=GDC(size=64),
    stages=(
        Stage(loss=Softmax(), epochs=3),
        Stage(loss=ArcFace(scale=16), epochs=1, train="head"),
        Stage(loss=ArcFace(scale=16), epochs=4),
    ),
    optimizer=SGD(momentum=0.9),
    learning_rate=Cosine(peak=0.1, floor=1e-3, cycle=8),
    weight_decay=5e-4,
    augment=Flip(),
    batch_size=32,
)
straight = base.but(stages=(base.stages[0], base.stages[2].but(epochs=5)), name="no-head-stage")

experiments = [base.but(name="head-stage"), straight]
