"""Which loss suits LFW after the same four epochs of softmax?

Cost: a trunk of half a minute and nine branches of a minute, one CPU core.  Expected: margins beat softmax, and among
each other are hard to tell apart with 5,000 images.  Scale 32 throughout: 64 is for millions of images.
"""

from lfw_baseline import base

from workbench import (
    AdaFace,
    ArcFace,
    Center,
    CosFace,
    CurricularFace,
    MagFace,
    MarginSoftmax,
    Softmax,
    Stage,
    Triplet,
)

LOSSES = {
    "softmax": Softmax(),
    "margin-softmax": MarginSoftmax(),
    "softmax-center": Softmax() + 0.01 * Center(),
    "arcface": ArcFace(scale=32),
    "cosface": CosFace(scale=32),
    "curricularface": CurricularFace(scale=32),
    "adaface": AdaFace(scale=32),
    "magface": MagFace(scale=32),
    "arcface-triplet": ArcFace(scale=32) + Triplet(),
}
baseline = "lfw_baseline/base"
trunk = base.but(name="trunk")
experiments = [
    trunk.branch(after_stage=1, stages=Stage(loss=loss, epochs=6, name="own"), name=name)
    for name, loss in LOSSES.items()
]
