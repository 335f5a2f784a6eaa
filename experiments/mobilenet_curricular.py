"""Does CurricularFace beat ArcFace with a MobileNet, on emore and on CASIA?

Cost: thirteen variants of 110 epochs of 5,822,653 images at batch 512, and three of 70 on CASIA.
Expected: CurricularFace is ahead on agedb_30 and behind on cfp_fp.
Names of files with "l2" keep "sgdw" of the run before: decay in the loss goes with SGD.
"""

import baseline_casia
import baseline_emore
from baseline_casia import norms

from workbench import GDC, L2, SGD, SGDW, ArcFace, Cosine, CurricularFace, E, Stage, Steps


def ladder(loss: type[ArcFace] | type[CurricularFace], last: int = 80) -> tuple[Stage, ...]:
    """Return one loss at scale 16, 32 and three times 64, epochs 5 5 10 10 80 (CASIA: 40)."""
    return tuple(
        Stage(loss=loss(scale=scale), epochs=epochs)
        for scale, epochs in zip((16, 32, 64, 64, 64), (5, 5, 10, 10, last))
    )


arc, curricular = ladder(ArcFace), ladder(CurricularFace)
plain, dropped = GDC(size=512, bias=True, **norms), GDC(size=512, dropout=0.4, bias=True, **norms)
base = baseline_emore.experiment.but(
    embedding=dropped,
    stages=arc,
    optimizer=SGDW(momentum=0.9),
    weight_decay=5e-4,
    learning_rate=Steps(peak=0.1, factor=0.1, from_epochs=(21, 31)),
    name="arc-sgdw",
)
seven = Cosine(peak=0.1, cycle=7, decay=0.5)
l2 = base.but(optimizer=SGD(momentum=0.9), weight_decay=L2(5e-4), learning_rate=seven)
thirty = Cosine(peak=0.1, cycle=30, growth=1, decay=0.5)
by_batch = l2.but(embedding=plain, learning_rate=seven.but(per="batch"), name="arc-l2-cosine-7-batch")
sixteen = by_batch.but(
    learning_rate=Cosine(peak=0.1, cycle=16, growth=1, decay=0.5, per="batch"), name="arc-l2-cosine-16-batch"
)
casia = baseline_casia.experiment.but(
    embedding=E(size=256, bias=True, **norms), stages=ladder(CurricularFace, 40)
)

experiments = [
    base,
    base.but(embedding=GDC(size=512, dropout=0.4, norm_scale=False, **norms), name="arc-sgdw-no-scale"),
    base.but(stages=curricular, name="curricular-sgdw"),
    base.but(stages=curricular, learning_rate=thirty, name="curricular-sgdw-cosine-30"),
    base.but(
        stages=curricular, learning_rate=thirty.but(per="batch"), name="curricular-sgdw-cosine-30-batch"
    ),
    l2.but(stages=curricular, name="curricular-l2-cosine-7"),
    l2.but(stages=curricular, embedding=plain, name="curricular-l2-cosine-7-no-dropout"),
    by_batch.but(stages=curricular, name="curricular-l2-cosine-7-batch"),
    by_batch,
    sixteen,
    sixteen.but(embedding=GDC(size=512, **norms), name="arc-l2-cosine-16-batch-no-bias"),
    sixteen.but(embedding=plain.but(norm_scale=False), name="arc-l2-cosine-16-batch-no-scale"),
    baseline_casia.experiment.but(name="casia-arc"),
    casia.but(name="casia-curricular"),
    casia.but(embedding=E(size=256, bias=True, norm_scale=False, **norms), name="casia-curricular-no-scale"),
]
