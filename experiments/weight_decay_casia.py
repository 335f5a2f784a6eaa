"""Which weight decay suits the CASIA ladder: decoupled or L2, and how much of it on the head?

Cost: twelve variants of 70 epochs of 490,623 images.  Expected: the forms differ less than the strengths.
The first seven are the notebook's, the others its questions in L2: L2(wd) is Keras's l2(wd / 2), and at a peak of 0.1
Decoupled(5e-4) takes off what L2(5e-3) would without momentum. MXNet's 5e-4 is Decoupled(5e-5).
"""

import baseline_casia
from baseline_casia import norms

from workbench import L2, SGD, SGDW, Decoupled, E

momentum = {"momentum": 0.9, "nesterov": True}
base = baseline_casia.experiment.but(optimizer=SGDW(**momentum), name="nesterov")
plain = SGD(**momentum)  # SGDW admits decoupled decay only
mxnet = Decoupled(5e-5, head_l2=10)

experiments = [
    base,
    base.but(weight_decay=Decoupled(5e-4, head_l2=10), name="head-10-by-l2"),
    base.but(weight_decay=Decoupled(5e-4, head=10), name="head-10"),
    base.but(weight_decay=Decoupled(5e-5, head=10), name="5e-5-head-10"),
    base.but(weight_decay=Decoupled(5e-5, head=4.5), name="5e-5-head-4.5"),
    base.but(weight_decay=mxnet, name="5e-5-head-10-by-l2"),
    base.but(
        weight_decay=mxnet, embedding=E(size=512, dropout=0.4, **norms), name="5e-5-head-10-by-l2-512-dropout"
    ),
    base.but(weight_decay=None, name="none"),
    base.but(optimizer=plain, weight_decay=L2(5e-4), name="l2-5e-4"),
    base.but(optimizer=plain, weight_decay=L2(5e-4, head=4.5), name="l2-5e-4-head-4.5"),
    base.but(optimizer=plain, weight_decay=L2(5e-4, head=10), name="l2-5e-4-head-10"),
    base.but(optimizer=plain, weight_decay=L2(1e-3), name="l2-1e-3"),
]
