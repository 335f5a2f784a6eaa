"""Does the last normalisation of the embedding need its scale, its bias, or both?

Cost: five variants of 40 epochs of 5,822,653 images at batch 512.  Expected: no bias is best on agedb_30.
"""

import baseline_emore

from workbench import GDC, L2, ArcFace, Stage

both = GDC(size=512)
base = baseline_emore.experiment.but(
    stages=tuple(
        Stage(loss=ArcFace(scale=scale), epochs=epochs) for scale, epochs in ((16, 5), (32, 5), (64, 30))
    ),
    weight_decay=L2(5e-4, norms=False),
    name="scale-bias",
)

experiments = [
    base,
    base.but(embedding=both.but(norm_bias=False), name="scale"),
    base.but(embedding=both.but(norm_scale=False), name="bias"),
    base.but(embedding=both.but(norm_scale=False, norm_bias=False), name="neither"),
    base.but(weight_decay=L2(5e-4), name="scale-bias-norms-decayed"),
]
