"""What do softmax, ArcFace and triplets in turn reach with EfficientNetB4 on emore, with one GPU and with two?

Cost: 94 epochs of 5,822,653 images at batch 420; the second variant has 840 from ArcFace on, on two GPUs.
Expected: between MobileNet and ResNet101V2.
"""

import resnet101v2_emore

from workbench import EfficientNet

base = resnet101v2_emore.base.but(
    backbone=EfficientNet(variant="B4"),
    stages=resnet101v2_emore.stages(420),
    augment=3,
    batch_size=420,
    name="bs420",
)

experiments = [base, resnet101v2_emore.on_two_gpus(base, 840)]
