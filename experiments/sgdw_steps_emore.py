"""Does SGD with decoupled decay and three early drops of the rate train MobileNet on emore, with one loss throughout?

Cost: two variants of 15 epochs of 5,822,653 images at batch 256.
Expected: most of the way to agedb_30 .95 in the three epochs at 0.1; softmax ends below ArcFace.
"""

import baseline_emore
from baseline_casia import norms

from workbench import GDC, SGDW, ArcFace, Softmax, Stage, Steps

base = baseline_emore.experiment.but(
    embedding=GDC(size=256, **norms),
    stages=Stage(loss=ArcFace(scale=64), epochs=15),
    optimizer=SGDW(momentum=0.9),
    learning_rate=Steps(peak=0.1, factor=0.1, from_epochs=(4, 6, 8)),
    weight_decay=5e-4,
    augment=3,
    batch_size=256,
    name="arcface",
)

experiments = [base, base.but(stages=Stage(loss=Softmax(), epochs=15), name="softmax")]
