"""Which weight decay suits the CASIA ladder: decoupled or L2, and how much of it on the head?

Cost: ten variants of 70 epochs of 490,623 images.  Expected: the forms differ less than the strengths.
L2(wd) is Keras's l2(wd / 2); at a peak of 0.1, Decoupled(5e-4) takes off what L2(5e-3) would without momentum.
"""

import baseline_casia

from workbench import L2, SGD, Decoupled

base = baseline_casia.experiment.but(name="base")
plain = SGD(momentum=0.9)  # SGDW admits decoupled decay only

experiments = [
    base,
    base.but(weight_decay=Decoupled(5e-4, head=4.5), name="head-4.5"),
    base.but(weight_decay=Decoupled(5e-4, head=10), name="head-10"),
    base.but(weight_decay=Decoupled(5e-4, head_l2=10), name="head-10-by-l2"),
    base.but(weight_decay=1e-3, name="decoupled-1e-3"),
    base.but(weight_decay=None, name="none"),
    base.but(optimizer=plain, weight_decay=L2(5e-4), name="l2-5e-4"),
    base.but(optimizer=plain, weight_decay=L2(5e-4, head=4.5), name="l2-5e-4-head-4.5"),
    base.but(optimizer=plain, weight_decay=L2(5e-4, head=10), name="l2-5e-4-head-10"),
    base.but(optimizer=plain, weight_decay=L2(1e-3), name="l2-1e-3"),
]
