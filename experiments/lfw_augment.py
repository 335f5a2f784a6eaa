"""How much augmentation do 5,000 faces want in ten epochs: flips, a hidden square, or RandAugment?

Cost: five runs a seed of a minute and a half to three, one CPU core.  Expected: flips help, strong augmentation needs
more epochs than these.
`workbench table lfw_baseline lfw_augment --baseline base`: `base` has flips and a hidden square.
"""

from lfw_baseline import base

from workbench import Affine, Flip, RandAugment

CHANGES = {
    "none": None,
    "flip": Flip(),
    "flip-affine": (Flip(), Affine(rotation=6, zoom=0.08, shift=0.04)),
    "randaugment-5": RandAugment(magnitude=5),
    "randaugment-15": RandAugment(magnitude=15),
}
baseline = "lfw_baseline/base"
experiments = [base.but(augment=change, name=name) for name, change in CHANGES.items()]
