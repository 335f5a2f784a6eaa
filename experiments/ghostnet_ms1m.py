"""What lifts GhostNet on MS1MV3: activation, decay, the cosine, half precision, strides?

Cost: nineteen variants of 50 epochs of 5,179,510 images at batch 512 or 1024.
Expected: L2 beats decoupled decay, and a first stride of 1 gains .01 on agedb_30 at four times the cost.
The published `l2-1e-3-cosine7-epoch` is best at its epoch 54: it ran longer than the 50 here.
"""

import baseline_casia
import baseline_ms1m

from workbench import GDC, L2, SGD, SGDW, Cosine, E, GhostNet, Identities, Lookahead

prelu = GhostNet(activation="prelu", prelu_start=0.0)
swish = GhostNet(activation="swish")
base = baseline_ms1m.experiment.but(
    backbone=prelu,
    stages=baseline_casia.ladder(20),  # 5 5 10 10 20
    name="l2-cosine16-fixed",
)
fixed, decoupled = base.learning_rate, SGDW(momentum=0.9)
loose = fixed.but(cooldown=0)  # restarts without an epoch at the floor
seven = Cosine(peak=0.1, cycle=7)
half = base.but(backbone=swish, precision="mixed_float16")
small = base.but(optimizer=decoupled, weight_decay=5e-4, learning_rate=baseline_casia.experiment.learning_rate,
                 batch_size=512)  # fmt: skip
four = tuple(stage.but(sampler=Identities(identities=256, images=4)) for stage in base.stages)
eight = tuple(stage.but(sampler=Identities(identities=128, images=8)) for stage in base.stages)
fine, drop = prelu.but(stem_stride=1, prelu_start=0.25), 0.4

experiments = [
    small.but(embedding=GDC(size=512, dropout=drop), name="gdc-dropout-bs512"),
    small.but(embedding=E(size=512, dropout=drop, pointwise=512), name="e-pointwise-dropout-bs512"),
    base,
    base.but(optimizer=decoupled, weight_decay=5e-4, name="sgdw-cosine16-fixed"),
    base.but(learning_rate=seven, name="l2-cosine7-epoch"),
    base.but(weight_decay=L2(1e-3), learning_rate=seven, name="l2-1e-3-cosine7-epoch"),
    base.but(weight_decay=L2(1e-3), learning_rate=seven.but(per="batch"), name="l2-1e-3-cosine7-batch"),
    base.but(weight_decay=L2(1e-3), learning_rate=seven.but(per="batch"), stages=four,
             name="l2-1e-3-cosine7-batch-4-images"),
    base.but(optimizer=decoupled, weight_decay=5e-4, learning_rate=loose, name="sgdw-cosine16"),
    base.but(learning_rate=loose, name="l2-cosine16"),
    half.but(backbone=prelu, name="float16-prelu"),
    half.but(backbone=prelu.but(prelu_start=0.25), name="float16-prelu-0.25"),
    half.but(name="float16-swish"),
    half.but(stages=eight, name="float16-swish-8-images"),
    half.but(augment=100, name="float16-swish-randaug"),
    half.but(optimizer=Lookahead(optimizer=SGD(momentum=0.9)), name="float16-swish-lookahead"),
    half.but(backbone=fine.but(squeeze_excite_activation="prelu"), name="float16-stride1"),
    half.but(backbone=fine, name="float16-stride1-se-relu"),
    base.but(embedding=GDC(size=512, norm_bias=False), name="l2-cosine16-no-bias"),
]  # fmt: skip
