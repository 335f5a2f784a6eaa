"""ReLU, PReLU or swish: what does a face network gain for what they cost?

Cost: two runs a seed of a minute and a half to three, one CPU core.  Expected: PReLU a little ahead, swish slowest.
`workbench table lfw_baseline lfw_activation --baseline base`: `base` has ReLU.
"""

from lfw_baseline import base

baseline = "lfw_baseline/base"
experiments = [
    base.but(backbone=base.backbone.but(activation=activation), name=activation)
    for activation in ("prelu", "swish")
]
