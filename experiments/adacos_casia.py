"""Does AdaCos, whose scale follows the training by itself, make the ladder of scales needless?

Cost: three variants of 70 epochs of 490,623 images.  Expected: between scaled softmax and ArcFace.
"""

import baseline_casia

from workbench import AdaCos, ArcFace, Stage

base = baseline_casia.experiment.but(name="base")

experiments = [
    base,
    base.but(stages=tuple(stage.but(loss=AdaCos()) for stage in base.stages), name="adacos"),
    base.but(stages=Stage(loss=ArcFace(scale=64), epochs=70), name="scale-64-throughout"),
]
