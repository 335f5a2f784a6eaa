"""Do weights that were learned on drawn faces help a small network on the few photographs of ORL?

`workbench run experiments/fine_tuning_orl.py drawn`, then `workbench export RUN --format h5 --out models` with the
name of that run, its file renamed to `models/drawn.h5`, then the variants `scratch tuned --seeds 0,1,2`.
Cost: 6, 12 and 12 epochs, one to two minutes each on two CPU cores.  Needs the ORL faces under WORKBENCH_DATA.
Expected: no difference beyond noise on ten unseen people.  Three seeds, last epoch: tuned .8789 (.8822 .8867 .8678),
scratch .8678 (.8500 .8822 .8711); after the first, when only the head has moved, tuned .7922, scratch .8304.
"""

import orl_faces

from workbench import (
    GDC,
    SGD,
    ArcFace,
    Cosine,
    Experiment,
    Flip,
    FromModel,
    MobileFaceNet,
    Softmax,
    Stage,
    SyntheticFaces,
)

loss = ArcFace(scale=16, margin=0.3)
scratch = Experiment(
    name="scratch",
    data=orl_faces.final.data,
    evaluate=orl_faces.final.evaluate,
    backbone=MobileFaceNet(image_size=48, width=0.25, stem_stride=1),
    embedding=GDC(size=64),
    stages=Stage(loss=loss, epochs=12),
    optimizer=SGD(momentum=0.9),
    learning_rate=Cosine(peak=0.05, floor=1e-3, cycle=12),
    weight_decay=5e-4,
    augment=Flip(),
    batch_size=30,
)
tuned = scratch.but(
    name="tuned",
    start=FromModel("models/drawn.h5"),
    stages=(
        Stage(loss=loss, epochs=2, train="head"),  # the head is new: the rest waits until it knows something
        Stage(loss=loss, epochs=3, train=("stage5_*", "last_*", "gdc_*", "pre_embedding")),
        Stage(loss=loss, epochs=7),
    ),
)
drawn = scratch.but(
    name="drawn",
    data=SyntheticFaces(identities=60, images=20),
    stages=Stage(loss=Softmax(), epochs=6),
    learning_rate=Cosine(peak=0.05, floor=1e-3, cycle=6),
)
experiments = [scratch, tuned, drawn]
