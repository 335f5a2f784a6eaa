"""Does Nesterov's momentum change anything in ten epochs of LFW?

Cost: a run a seed of a minute and a half, one CPU core.  Expected: no difference that three seeds can show.
`workbench table lfw_baseline lfw_nesterov --baseline base` tells it from plain momentum.
"""

from lfw_baseline import base

from workbench import SGD

baseline = "lfw_baseline/base"
experiments = [base.but(optimizer=SGD(momentum=0.9, nesterov=True), name="nesterov")]
