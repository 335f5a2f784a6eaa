"""Do three centers an identity find CASIA's wrong images, and does training without those help?

Cost: three variants of 70 epochs of 490,623 images; two go on from the trained `k3` for 71 and 31 epochs.
Expected: k3 gains on cfp_fp; the head trained alone first is best on lfw and agedb_30.
The cleaned list is written by `workbench clean` from the finished `k3`, below WORKBENCH_DATA.
"""

import baseline_casia

from workbench import ArcFace, Stage, SubCenter

base = baseline_casia.experiment.but(name="base")
cleaned = base.data.but(include="casia_k3_clean.txt", images=None)  # the images near their main center
k3 = base.but(stages=baseline_casia.ladder(head=SubCenter(centers=3)), name="k3")

fresh = baseline_casia.ladder()
head_first = (
    Stage(loss=ArcFace(scale=16), epochs=1, train="head", learning_rate=0.1),
    fresh[0].but(schedule_start=0),  # the whole schedule anew
    *fresh[1:],
)
head_first_late = (
    Stage(loss=ArcFace(scale=64), epochs=1, train="head", learning_rate=0.001),
    Stage(loss=ArcFace(scale=64), epochs=30, schedule_start=40),
)

experiments = [
    base,
    k3,
    base.but(data=cleaned, name="k3-to-1"),
    k3.branch(after_stage=5, stages=head_first, data=cleaned, name="head-first"),
    k3.branch(after_stage=5, stages=head_first_late, data=cleaned, name="head-first-from-40"),
]
