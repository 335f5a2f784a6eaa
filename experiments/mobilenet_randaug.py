"""How strong may augmentation be for a MobileNet on emore: 0 (mirrored), 100 or 300 (RandAugment 5 or 15)?

Cost: eleven variants of 130 epochs of 5,822,653 images at batch 512, three that change the recipe after 51, and four
from epoch 48 with another loss.
Expected: RandAugment gains .03 on cfp_fp and loses .01 on agedb_30.
"Flat" cycles are as long as the first, so that epoch 51 ends the third one.
"""

import baseline_emore
from baseline_casia import norms

from workbench import GDC, ArcFace, Experiment, Identities, Stage, Triplet

both = GDC(size=512, bias=True, **norms)
base = baseline_emore.experiment.but(
    embedding=GDC(size=512, **norms),
    stages=(*baseline_emore.experiment.stages, Stage(loss=ArcFace(scale=64), epochs=80)),  # 5 5 7 33 80
    augment=0,
    name="random-0",
)
flat = base.but(learning_rate=base.learning_rate.but(growth=1), name="random-0-flat")
strong = base.but(learning_rate=flat.learning_rate, augment=100, name="randaug-100-flat")
ten_of_each = tuple(
    stage.but(sampler=Identities(identities=51, images=10), batch_size=510) for stage in base.stages
)
rest = Stage(loss=ArcFace(scale=64), epochs=79)
low = base.but(learning_rate=flat.learning_rate.but(floor=1e-5), name="random-0-flat-1e-5")
groups = Identities(identities=128, images=4)
paired = Stage(loss=ArcFace(scale=64) + 64 * Triplet(alpha=0.35), epochs=16, sampler=groups)
alone = rest.but(epochs=16)


def from48(stages: tuple[Stage, ...], name: str, **settings: int) -> Experiment:
    """Return what went on from epoch 48 of the run with the floor at 1e-5."""
    return low.branch(at_epoch=48, stages=stages, name=f"from48-{name}", **settings)


experiments = [
    base,
    base.but(augment=100, name="randaug-100"),
    base.but(augment=300, name="randaug-300"),
    flat,
    strong,
    base.but(stages=ten_of_each, name="random-0-ten-of-each"),
    base.but(embedding=both, name="bias"),
    base.but(embedding=both.but(norm_scale=False), name="bias-no-scale"),
    base.but(embedding=both, stages=ten_of_each, name="bias-ten-of-each"),
    base.but(embedding=both, stages=ten_of_each, augment=100, name="bias-randaug-ten-of-each"),
    low,
    flat.branch(at_epoch=51, stages=rest, augment=100, name="from51-randaug-100"),
    strong.branch(at_epoch=51, stages=rest, augment=0, name="from51-random-0"),
    from48((rest,), "arcface-randaug-300", augment=300),
    from48((paired,), "triplet-64-randaug-300", augment=300),
    from48((paired, alone), "triplet-64-then-arcface"),
    from48((paired, alone), "triplet-64-then-arcface-random-2", augment=2),
]
