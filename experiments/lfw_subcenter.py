"""A tenth of the labels is wrong: how much does it cost, do three centers an identity bear it, are they found again?

Cost: three runs a seed of a minute and a half, one CPU core.  `workbench clean RUN -o LIST` of `wrong-centers` says
with which precision and recall the wrong ones are found.  Expected: with eight images a person centers are too few
to be told apart, and the margin itself suffers most.
`workbench table lfw_baseline lfw_subcenter --baseline base`: `base` has the right labels and one center.
"""

from lfw_baseline import base

from workbench import CosFace, Mislabelled, SubCenter

wrong = Mislabelled(base.data, share=0.1)
centers = CosFace(scale=32, margin=0.35, head=SubCenter(centers=3))
apart = (base.stages[0], base.stages[1].but(loss=centers))
baseline = "lfw_baseline/base"
experiments = [
    base.but(stages=apart, name="right-centers"),
    base.but(data=wrong, name="wrong"),
    base.but(data=wrong, stages=apart, name="wrong-centers"),
]
