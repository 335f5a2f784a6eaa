"""Which backbone learns fastest on emore while the loss is still softmax?

Cost: eight variants of 20 or 25 epochs of 5,822,653 images.  Expected: deeper is ahead at every epoch.
"""

import efficientnetb4_emore
import mobilefacenet_emore
import mobilenet_emore_bs256
import mobilenet_emore_bs1024
import resnest101_emore
import resnet101v2_emore

from workbench import Experiment


def early(experiment: Experiment, stages: int, name: str) -> Experiment:
    """Return the softmax part of an experiment: its first stages."""
    return experiment.but(stages=experiment.stages[:stages], name=name)


experiments = [
    early(resnet101v2_emore.base, 1, "resnet101v2"),
    early(efficientnetb4_emore.base, 1, "efficientnetb4"),
    early(resnest101_emore.base, 1, "resnest101"),
    early(mobilefacenet_emore.base, 2, "mobilefacenet-bs160"),
    early(mobilefacenet_emore.experiments[1], 2, "mobilefacenet-bs768"),
    early(mobilefacenet_emore.squeezed, 2, "se-mobilefacenet"),
    early(mobilenet_emore_bs256.trunk, 2, "mobilenet-bs256"),
    early(mobilenet_emore_bs1024.base, 1, "mobilenet-bs1024"),
]
