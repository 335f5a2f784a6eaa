"""Which activation suits MobileNet on emore, and which embedding head goes with it?

Cost: eight variants of 50 epochs, six of 5,822,653 images and two of MS1MV3's 5,179,510, at batch 512.
Expected: PReLU and swish gain .002 to .003 on agedb_30; the heads differ by noise.
"""

import baseline_emore
import baseline_ms1m
from baseline_casia import norms

from workbench import GAP, GDC, E, MobileNet

swish = MobileNet(activation="swish", **norms)
base = baseline_emore.experiment.but(embedding=GDC(size=512, **norms), precision="mixed_float16", name="relu")
fine = GDC(size=512, bias=True, norm_epsilon=1e-4)
ms1m = baseline_ms1m.experiment.but(
    backbone=swish.but(norm_momentum=0.9, norm_epsilon=1e-4),
    embedding=fine,
    batch_size=512,
    precision="mixed_float16",
)

experiments = [
    base,
    base.but(embedding=GDC(size=512, bias=True, **norms), name="relu-bias"),
    base.but(backbone=MobileNet(activation="prelu", prelu_start=0.0, **norms), name="prelu"),
    base.but(backbone=swish, name="swish"),
    base.but(backbone=swish, embedding=E(size=512, dropout=0.4, **norms), name="swish-e"),
    base.but(backbone=swish, embedding=GAP(size=512, **norms), name="swish-gap"),
    ms1m.but(name="swish-ms1m"),
    ms1m.but(embedding=fine.but(dropout=0.4), name="swish-ms1m-dropout"),
]
