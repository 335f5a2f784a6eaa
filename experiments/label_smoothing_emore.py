"""Does label smoothing early in training help later, and together with augmentation?

Cost: two trunks of 8 epochs of 5,822,653 images at batch 256, and four branches of 3 from each.
Expected: smoothing slows softmax, and neither helps nor harms ArcFace after it.
"""

import mobilenet_emore_bs256

from workbench import ArcFace, Softmax, Stage

trunk = mobilenet_emore_bs256.trunk.but(
    stages=(Stage(loss=Softmax(), epochs=3), Stage(loss=ArcFace(scale=64), epochs=5)),
    label_smoothing=0.0,
    name="plain",
)
smoothed = trunk.but(
    stages=(trunk.stages[0].but(label_smoothing=0.1), trunk.stages[1]), name="smooth-softmax"
)
three = Stage(loss=ArcFace(scale=64), epochs=3)

experiments = [
    trunk,
    smoothed,
    *(
        first.branch(
            after_stage=2,
            stages=three.but(label_smoothing=smoothing, augment=augment),
            name=f"{first.name}-then-{smoothing:g}-augment-{augment}",
        )
        for first in (trunk, smoothed)
        for smoothing in (0.0, 0.1)
        for augment in (0, 2)
    ),
]
