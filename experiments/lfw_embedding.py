"""GDC or E before the embedding, with and without dropout?

Cost: three runs a seed of a minute and a half, one CPU core.  Expected: dropout costs accuracy in so few epochs.
`workbench table lfw_baseline lfw_embedding --baseline base`: `base` has E with a dropout of .4.
"""

from lfw_baseline import base

from workbench import GDC, E

baseline = "lfw_baseline/base"
experiments = [
    base.but(embedding=E(size=128), name="e"),
    base.but(embedding=GDC(size=128), name="gdc"),
    base.but(embedding=GDC(size=128, dropout=0.4), name="gdc-dropout"),
]
