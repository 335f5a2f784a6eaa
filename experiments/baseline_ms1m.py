"""What does ArcFace reach on MS1MV3 with a MobileNet, at the settings that the larger networks share?

Cost: 50 epochs of 5,179,510 images, 5,058 steps of 1,024 each.  Expected: agedb_30 near .967 with swish.
Needs ms1m-retinaface-t1_112x112_folders and the three .bin files under WORKBENCH_DATA.
"""

import baseline_emore

from workbench import Cosine, ImageFolder, MobileNet

faces = ImageFolder("ms1m-retinaface-t1_112x112_folders", identities=93431, images=5179510)

experiment = baseline_emore.experiment.but(
    data=faces,
    backbone=MobileNet(activation="swish"),
    embedding=baseline_emore.experiment.embedding.but(norm_momentum=0.9, norm_epsilon=1e-5),
    learning_rate=Cosine(peak=0.1, floor=1e-5, cycle=16, decay=0.5, per="batch"),
    batch_size=1024,
)
