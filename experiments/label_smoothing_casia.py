"""Does label smoothing help ArcFace on CASIA?

Cost: four variants of 70 epochs of 490,623 images.  Expected: it costs .01 to .02 on every set.
"""

import baseline_casia

from workbench import SGDW

base = baseline_casia.experiment.but(name="base")
nesterov = SGDW(momentum=0.9, nesterov=True)

experiments = [
    base,
    base.but(label_smoothing=0.1, name="smooth"),
    base.but(optimizer=nesterov, name="nesterov"),
    base.but(optimizer=nesterov, label_smoothing=0.1, name="nesterov-smooth"),
]
