"""Does label smoothing help where the margin works already?

Cost: a run a seed of a minute and a half, one CPU core.  Expected: nothing with a margin, as on CASIA.
`workbench table lfw_baseline lfw_smoothing --baseline base` tells it from `base` of lfw_baseline.
"""

from lfw_baseline import base

baseline = "lfw_baseline/base"
experiments = [base.but(label_smoothing=0.1, name="smoothed")]
