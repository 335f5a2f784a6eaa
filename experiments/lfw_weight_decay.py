"""Decay beside the gradient or in the loss, at equal strength, and more of it on the head?

Cost: four runs a seed of a minute and a half, one CPU core.  At a peak of .1 Decoupled(5e-5) takes off what L2(5e-4)
does without momentum, which multiplies the latter by about ten.  Expected: the strength counts, the form does not.
`workbench table lfw_baseline lfw_weight_decay --baseline base`: `base` has L2(5e-4).
"""

from lfw_baseline import base

from workbench import L2, SGDW, Decoupled

decoupled = SGDW(momentum=0.9)
baseline = "lfw_baseline/base"
experiments = [
    base.but(optimizer=decoupled, weight_decay=Decoupled(5e-5), name="sgdw-5e-5"),
    base.but(optimizer=decoupled, weight_decay=Decoupled(5e-4), name="sgdw-5e-4"),
    base.but(weight_decay=L2(5e-4, head=10), name="l2-5e-4-head-10"),
    base.but(weight_decay=None, name="none"),
]
