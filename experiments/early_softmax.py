"""Which backbone learns fastest on emore while the loss is still softmax?

Cost: fifteen variants of 20 or 25 epochs of 5,822,653 images.  Expected: deeper is ahead at every epoch.
"""

import efficientnetb4_emore
import mobilefacenet_emore
import mobilenet_emore_bs256
import mobilenet_emore_bs1024
import resnest101_emore
import resnet101v2_emore

from workbench import Adam, Experiment


def early(experiment: Experiment, stages: int, name: str) -> Experiment:
    """Return the softmax part of an experiment: its first stages."""
    return experiment.but(stages=experiment.stages[:stages], name=name)


resnet1024, face = resnet101v2_emore.experiments[2], mobilefacenet_emore
resnet128 = resnet1024.but(stages=resnet1024.stages[:2], batch_size=128, name="resnet101v2-bs128")

experiments = [
    early(resnet101v2_emore.base, 1, "resnet101v2"),
    early(resnet1024, 2, "resnet101v2-bs1024"),
    resnet128,
    early(efficientnetb4_emore.base, 1, "efficientnetb4"),
    early(resnest101_emore.base, 1, "resnest101"),
    early(face.base, 2, "mobilefacenet-bs160"),
    early(face.experiments[1], 2, "mobilefacenet-bs768"),
    face.squeezed.but(name="se-mobilefacenet"),
    face.waved.but(optimizer=Adam(), name="se-mobilefacenet-cosine"),
    face.waved.but(name="se-mobilefacenet-cosine-nadam"),
    *(
        one.but(name=one.name.replace("se-", "se-mobilefacenet-"))
        for one in face.experiments
        if "center" in one.name
    ),
    early(mobilenet_emore_bs256.trunk, 2, "mobilenet-bs256"),
    early(mobilenet_emore_bs1024.base, 1, "mobilenet-bs1024"),
]
