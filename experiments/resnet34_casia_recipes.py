"""Which of the notebook's further recipes for ResNet34 on CASIA comes nearest to MXNet's: decays, starts, scales, gammas?

Cost: twenty-six variants of 41 epochs (one of 50) of 490,623 images at batch 512 or 480.
Expected: 5e-5 on the head's own decay is too little, softmax first costs nothing, momentum is needed.
The recipes are those of the file names between lines 2102 and 2248. Left out are repetitions of a recipe, and names
that do not say what they did: `5e4S`, `5e4C`, `wdm10D`, `S16_S32`, `E20_E20`, an unweighted `trip`, and AdamW that
turns to SGDW at rates not told.
"""

from typing import Any

from resnet34_casia import base, decoupled, head, main, one, slow, soft, ten, warmed

from workbench import (
    GDC,
    L2,
    SGD,
    SGDW,
    AdamW,
    ArcFace,
    Decoupled,
    Experiment,
    Identities,
    ResNet,
    Stage,
    Triplet,
)

acos, straight = warmed(1, 40, "acos"), Stage(loss=main, epochs=41)
fixed = head.but(norm_scale=False)
least = Decoupled(5e-5, head_l2=10)
softmax, arcface = soft
tripled = arcface.but(loss=ArcFace(scale=64) + 32 * Triplet(), sampler=Identities(identities=120, images=4))


def l2(value: float, norms: bool, stages: Any, name: str) -> Experiment:
    """Return SGD with L2, on the scales and offsets of batch normalisation or not."""
    return base.but(weight_decay=L2(value, norms=norms), stages=stages, name=name)


def sgdw(name: str, stages: Any, decay: Any = 5e-4, **settings: Any) -> Experiment:
    """Return SGDW with a decay."""
    return decoupled.but(weight_decay=decay, stages=stages, name=name, **settings)


experiments = [
    l2(5e-4, False, warmed(5, 36), "l2-5e-4-norms-free-five"),
    l2(5e-4, True, warmed(5, 36), "l2-5e-4-five"),
    l2(5e-5, False, warmed(), "l2-5e-5-norms-free"),
    l2(5e-5, True, straight, "l2-5e-5-straight"),
    l2(5e-4, True, warmed(), "l2-5e-4"),
    l2(1e-4, True, warmed(), "l2-1e-4"),
    l2(1e-4, False, warmed(), "l2-1e-4-norms-free"),
    one.but(stages=acos, optimizer=SGD(momentum=0), weight_decay=L2(1e-3), name="l2-1e-3-no-momentum"),
    sgdw("1e-4-no-momentum", acos, 1e-4, optimizer=SGDW(momentum=0)),
    sgdw("5e-5-straight", straight, 5e-5),
    sgdw("5e-5-fixed-gamma", straight, 5e-5, embedding=fixed),
    sgdw("5e-5-head-10-fixed-gamma", straight, least, embedding=fixed),
    sgdw("5e-5-head-10", straight, least),
    sgdw("head-10-bs480", warmed(), ten, batch_size=480),
    sgdw("head-10-random-2", warmed(), ten, augment=2),
    sgdw("head-10-random-2-acos", acos, ten, augment=2),
    sgdw("head-10-acos", acos, ten),
    sgdw("head-10-softmax", soft, ten),
    sgdw("softmax-random-2", soft, augment=2),
    sgdw("softmax-random-3", soft, augment=3),
    sgdw("softmax-random-3-bs480", soft, augment=3, batch_size=480),
    sgdw("head-10-softmax-bs480", soft, ten, batch_size=480),
    sgdw("head-10-softmax-triplet-32", (softmax, tripled), ten, augment=3, batch_size=480),
    sgdw(
        "head-10-softmax-gdc",
        soft,
        ten,
        batch_size=480,
        embedding=GDC(size=512, dropout=0.4, norm_epsilon=2e-5),
    ),
    sgdw("adamw-softmax-random-3", soft, 5e-5, optimizer=AdamW(), learning_rate=slow, augment=3),
    sgdw(
        "resnet50-softmax-10",
        (softmax.but(epochs=10), arcface),
        ten,
        backbone=ResNet(layers=50, norm_momentum=0.9, norm_epsilon=2e-5),
    ),
]
