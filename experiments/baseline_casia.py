"""What does MobileNet reach on CASIA with the ladder of ArcFace scales that other studies vary?

Cost: 70 epochs of 490,623 images, 1,226 steps of 400 each.  Expected: lfw .982, cfp_fp .869, agedb_30 .870.
Needs faces_casia_112x112_folders and the three .bin files under WORKBENCH_DATA.
The notebook's pages name the head E in files of the same series alone; the author's published scripts do for all.
"""

from typing import Any

from workbench import SGDW, ArcFace, E, Experiment, Flip, ImageFolder, MobileNet, Pairs, Stage, Steps

faces = ImageFolder("faces_casia_112x112_folders", identities=10572, images=490623)
# Keras's own, which the author's networks have where no page and no name of a file gives others
norms: dict[str, Any] = {"norm_momentum": 0.99, "norm_epsilon": 1e-3}
sets = (Pairs("lfw.bin"), Pairs("cfp_fp.bin"), Pairs("agedb_30.bin"))


def ladder(last: int = 40, extra: Any = None, **loss: Any) -> tuple[Stage, ...]:
    """Return ArcFace at scale 16, 32 and three times 64, with settings of the loss and a term beside it."""
    steps = zip((16, 32, 64, 64, 64), (5, 5, 10, 10, last))
    losses = [(ArcFace(scale=scale, **loss), epochs) for scale, epochs in steps]
    return tuple(Stage(loss=arc if extra is None else arc + extra, epochs=epochs) for arc, epochs in losses)


experiment = Experiment(
    data=faces,
    evaluate=sets,
    backbone=MobileNet(**norms),
    embedding=E(size=256, **norms),
    stages=ladder(),
    optimizer=SGDW(momentum=0.9),
    learning_rate=Steps(peak=0.1, factor=0.1, from_epochs=(21, 31)),  # .1 .1 .1 .01 .001 by stage
    weight_decay=5e-4,
    augment=Flip(),
    batch_size=400,
)
