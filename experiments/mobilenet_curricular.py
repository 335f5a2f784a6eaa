"""Does CurricularFace beat ArcFace with a MobileNet, on emore and on CASIA?

Cost: nine variants of 110 epochs of 5,822,653 images at batch 512, and two of 110 on CASIA.
Expected: CurricularFace is ahead on agedb_30 and behind on cfp_fp.
"""

import baseline_casia
import baseline_emore

from workbench import (
    GDC,
    L2,
    SGD,
    SGDW,
    ArcFace,
    Cosine,
    CurricularFace,
    Stage,
    Steps,
)


def ladder(loss: type[ArcFace] | type[CurricularFace]) -> tuple[Stage, ...]:
    """Return one loss at scale 16, 32 and three times 64, epochs 5 5 10 10 80."""
    return tuple(
        Stage(loss=loss(scale=scale), epochs=epochs)
        for scale, epochs in zip((16, 32, 64, 64, 64), (5, 5, 10, 10, 80))
    )


arc, curricular = ladder(ArcFace), ladder(CurricularFace)
plain, dropped = GDC(size=512), GDC(size=512, dropout=0.4)
base = baseline_emore.experiment.but(
    embedding=dropped,
    stages=arc,
    optimizer=SGDW(momentum=0.9),
    weight_decay=5e-4,
    learning_rate=Steps(peak=0.1, factor=0.1, from_epochs=(21, 31)),
    name="arc-sgdw",
)
l2 = base.but(optimizer=SGD(momentum=0.9), weight_decay=L2(5e-4), learning_rate=Cosine(peak=0.1, cycle=7))
by_batch = Cosine(peak=0.1, cycle=7, per="batch")

experiments = [
    base,
    base.but(embedding=dropped.but(norm_scale=False), name="arc-sgdw-no-scale"),
    base.but(stages=curricular, name="curricular-sgdw"),
    base.but(
        stages=curricular,
        learning_rate=Cosine(peak=0.1, cycle=30, growth=1),
        name="curricular-sgdw-cosine-30",
    ),
    base.but(
        stages=curricular,
        learning_rate=Cosine(peak=0.1, cycle=30, growth=1, per="batch"),
        name="curricular-sgdw-cosine-30-batch",
    ),
    l2.but(stages=curricular, name="curricular-l2-cosine-7"),
    l2.but(stages=curricular, embedding=plain, name="curricular-l2-cosine-7-no-dropout"),
    l2.but(stages=curricular, embedding=plain, learning_rate=by_batch, name="curricular-l2-cosine-7-batch"),
    l2.but(embedding=plain, learning_rate=by_batch, name="arc-l2-cosine-7-batch"),
    baseline_casia.experiment.but(stages=arc, name="casia-arc"),
    baseline_casia.experiment.but(stages=curricular, name="casia-curricular"),
]
