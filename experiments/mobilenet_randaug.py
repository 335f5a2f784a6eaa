"""How strong may augmentation be for a MobileNet on emore: 0 (mirrored), 100 or 300 (RandAugment 5 or 15)?

Cost: six variants of 130 epochs of 5,822,653 images at batch 512.
Expected: RandAugment gains .03 on cfp_fp and loses .01 on agedb_30.
"""

import baseline_emore

from workbench import GDC, ArcFace, Identities, Stage

base = baseline_emore.experiment.but(
    embedding=GDC(size=512, norm_bias=False),
    stages=(*baseline_emore.experiment.stages, Stage(loss=ArcFace(scale=64), epochs=80)),  # 5 5 7 33 80
    augment=0,
    name="random-0",
)
flat = base.learning_rate.but(growth=1)
eight_of_each = tuple(
    stage.but(sampler=Identities(identities=64, images=8), batch_size=512) for stage in base.stages
)

experiments = [
    base,
    base.but(augment=100, name="randaug-100"),
    base.but(augment=300, name="randaug-300"),
    base.but(learning_rate=flat, name="random-0-flat"),
    base.but(learning_rate=flat, augment=100, name="randaug-100-flat"),
    base.but(stages=eight_of_each, name="random-0-eight-of-each"),
]
