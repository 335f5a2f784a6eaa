"""What do softmax, 65 epochs of ArcFace and triplets reach with ResNeSt101 on emore, with one GPU and with two?

Cost: 124 epochs of 5,822,653 images at batch 600; the second variant has 1,024 from ArcFace on, on two GPUs.
Expected: agedb_30 near ResNet101V2's .97.
"""

import resnet101v2_emore

from workbench import ResNeSt

base = resnet101v2_emore.base.but(
    backbone=ResNeSt(layers=101), stages=resnet101v2_emore.stages(600, 65), batch_size=600, name="bs600"
)

experiments = [base, resnet101v2_emore.on_two_gpus(base, 1024, 65)]
