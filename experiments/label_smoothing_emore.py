"""Does label smoothing early in training help later, and together with augmentation?

Cost: two trunks of 3 and 8 epochs of 5,822,653 images at batch 256, and four branches of 3 to 5 from the smoothed one.
Expected: smoothing slows softmax, and neither helps nor harms ArcFace after it.
"""

import mobilenet_emore_bs256
from baseline_casia import norms

from workbench import GDC, ArcFace, Nadam, Softmax, Stage

three, five = Stage(loss=ArcFace(scale=64), epochs=3), Stage(loss=ArcFace(scale=64), epochs=5)
plain = mobilenet_emore_bs256.trunk.but(
    embedding=GDC(size=256, dropout=0.4, **norms),
    stages=Stage(loss=Softmax(), epochs=3),
    optimizer=Nadam(),
    weight_decay=None,
    label_smoothing=0.0,
    augment=0,
    name="plain-softmax",
)
smoothed = plain.but(stages=(plain.stages[0].but(label_smoothing=0.1), five), name="smooth-softmax")

experiments = [
    plain,
    smoothed,
    smoothed.branch(after_stage=2, stages=three, name="then-0"),
    smoothed.branch(after_stage=2, stages=three, label_smoothing=0.1, name="then-0.1"),
    smoothed.branch(after_stage=2, stages=three, augment=3, name="then-0-random-3"),
    smoothed.branch(after_stage=2, stages=five, label_smoothing=0.1, augment=3, name="then-0.1-random-3"),
]
