"""Do triplets that are mined anew before every epoch improve an embedding that softmax has learned?

Cost: 5 epochs of 5,531,520 images in batches of 128, then 100 epochs of the triplets found among 50,000 images.
Expected: fewer triplets are found from epoch to epoch; lfw gains, agedb_30 little.
The sample is 5 images of 10,000 people; a triplet counts while the negative is within .2 of the positive. The loss takes
the hardest negative of a batch, which the mined one is or is beaten by. The notebook started from ImageNet's weights:
`--set 'backbone.weights="imagenet"'` where Keras has them.
"""

import baseline_emore
from baseline_casia import norms

from workbench import GAP, Adamax, Exponential, MinedTriplets, ResNetV2, Softmax, Stage, Triplet

trunk = baseline_emore.experiment.but(
    data=baseline_emore.faces.but(hold_out=0.05),
    backbone=ResNetV2(layers=50),
    embedding=GAP(size=512, dropout=0.1, bias=True, **norms),
    stages=Stage(loss=Softmax(), epochs=5),
    optimizer=Adamax(),
    learning_rate=Exponential(peak=1e-3, rate=0.2, hold=10),
    weight_decay=None,
    batch_size=128,
    name="softmax",
)
mined = Stage(
    loss=Triplet(alpha=0.2),
    epochs=100,
    sampler=MinedTriplets(identities=10000, images=5, alpha=0.2, every=1),
    batch_size=192,
    schedule_start=0,  # its rates begin anew
)

experiments = [trunk, trunk.branch(after_stage=1, stages=mined, name="mined")]
