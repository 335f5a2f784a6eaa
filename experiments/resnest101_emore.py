"""What do softmax, 65 epochs of ArcFace and triplets reach with ResNeSt101 on emore, with one GPU and with two?

Cost: 124 epochs of 5,822,653 images at batch 600; the second variant has 1,024 from the head alone on, on two GPUs.
Expected: agedb_30 near ResNet101V2's .97.
The page's heading speaks of batch 128 and 1024, its table of 600 and 1024: the table has the losses.
"""

import resnet101v2_emore

from workbench import ResNeSt

base = resnet101v2_emore.base.but(
    backbone=ResNeSt(
        layers=101, kernel_initializer="he_normal", norm_momentum=0.99, norm_epsilon=1.001e-5
    ),  # the author's public code
    stages=resnet101v2_emore.stages(600, 65),
    batch_size=600,
    name="bs600",
)
two = resnet101v2_emore.on_two_gpus(base, 1024, 65)
softmax, head_only, *rest = two.stages

experiments = [base, two.but(stages=(softmax, head_only.but(batch_size=1024), *rest))]
