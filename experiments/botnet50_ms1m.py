"""Which activation, bias, shortcut, stride and embedding head suit BoTNet50 on MS1MV3?

Cost: nine variants of 72 epochs of 5,179,510 images at batch 1024, one at 768.
Expected: swish without an activation after shortcuts reaches agedb_30 .980.
The page's labels of the two runs with head E say the opposite of their files; the files were named by the script.
"""

import baseline_ms1m

from workbench import GDC, ArcFace, BoTNet, Cosine, E, Stage

# after a first epoch at scale 32, cycles of 16 with an epoch at the floor; peaks .1 .05 .025
restarts = Cosine(peak=0.1, floor=1e-5, cycle=16, growth=1, decay=0.5, per="batch")
relu = BoTNet(shortcut_activation=None)

base = baseline_ms1m.experiment.but(
    backbone=BoTNet(conv_bias=True, shortcut_activation="relu"),
    embedding=GDC(size=512),
    stages=(
        Stage(loss=ArcFace(scale=32), epochs=1, learning_rate=0.1),
        *(Stage(loss=ArcFace(scale=64), epochs=epochs) for epochs in (17, 17, 17, 20)),
    ),
    learning_rate=restarts,
    name="relu",
)
swish = BoTNet(activation="swish")
doubling = base.but(learning_rate=restarts.but(growth=2))
head = E(size=512, dropout=0.4)

experiments = [
    base,
    base.but(backbone=BoTNet(shortcut_activation="relu"), name="relu-no-conv-bias"),
    doubling.but(backbone=relu, name="relu-no-shortcut"),
    doubling.but(backbone=relu, augment=100, name="relu-no-shortcut-randaug"),
    doubling.but(backbone=swish, name="swish"),
    doubling.but(backbone=BoTNet(activation="prelu", prelu_start=0.0), batch_size=768, name="prelu-bs768"),
    doubling.but(backbone=swish, embedding=head, name="swish-e"),
    doubling.but(backbone=swish, embedding=head.but(bias=True), name="swish-e-bias"),
    doubling.but(backbone=swish.but(last_stride=1), name="swish-last-stride-1"),
]
