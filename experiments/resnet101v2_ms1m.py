"""What do bias, activation, head and a first convolution without stride change for ResNetV2 on MS1MV3?

Cost: nine variants of 50 epochs of 5,179,510 images at batch 1024, or 384 where the stride is 1.
Expected: the smaller stride gains .005 on agedb_30 and .006 on cfp_fp.
"""

import baseline_ms1m

from workbench import ArcFace, E, ResNetV2, Stage

head = E(size=512, dropout=0.4, norm_epsilon=1e-4)
net = ResNetV2(layers=101, padding="same", norm_momentum=0.9, norm_epsilon=1e-5)
bare = net.but(conv_bias=False, norm_epsilon=1e-4)
swish = bare.but(activation="swish")
fifty = bare.but(layers=50)
fine = swish.but(stem_stride=1)

base = baseline_ms1m.experiment.but(backbone=net, precision="mixed_float16", name="relu")  # 5 5 7 33
epoch = base.learning_rate.but(per="epoch")
plain = base.embedding.but(norm_epsilon=1e-4)
one = (Stage(loss=ArcFace(scale=32), epochs=1), Stage(loss=ArcFace(scale=64), epochs=16), base.stages[3])
base32 = base.but(precision="float32", learning_rate=epoch, batch_size=384, embedding=head)

experiments = [
    base,
    base.but(stages=one, name="relu-one-warmup"),
    base.but(backbone=bare, embedding=plain, learning_rate=epoch, name="no-conv-bias"),
    base.but(backbone=swish, learning_rate=epoch, embedding=head, name="swish-e"),
    base32.but(backbone=fine, name="swish-e-stride1"),
    base.but(backbone=fifty, embedding=plain, learning_rate=epoch, name="50-no-conv-bias"),
    base.but(backbone=swish.but(layers=50), embedding=plain, learning_rate=epoch, name="50-swish"),
    base.but(backbone=swish.but(layers=50), learning_rate=epoch, embedding=head, name="50-swish-e"),
    base32.but(backbone=fine.but(layers=50), name="50-swish-e-stride1"),
]
