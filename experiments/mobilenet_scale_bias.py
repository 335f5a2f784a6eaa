"""Does the embedding need the scale of its last normalisation, the bias of the layer before it, or both?

Cost: five variants of 40 epochs of 490,623 images at batch 512.  Expected: no bias is best on agedb_30.
The page's "bias" is Keras's `use_bias` of the layer that makes the embedding.
"""

import baseline_casia
from baseline_casia import norms

from workbench import GDC, ArcFace, Cosine, CurricularFace, Stage


def ladder(loss: type[ArcFace] | type[CurricularFace]) -> tuple[Stage, ...]:
    """Return one loss at scale 16, 32 and 64, epochs 5 5 30."""
    return tuple(Stage(loss=loss(scale=s), epochs=n) for s, n in ((16, 5), (32, 5), (64, 30)))


neither = GDC(size=512, dropout=0.4, norm_scale=False, **norms)
both = GDC(size=512, dropout=0.4, bias=True, **norms)
base = baseline_casia.experiment.but(
    embedding=both,
    stages=ladder(ArcFace),
    learning_rate=Cosine(peak=0.1, cycle=30, growth=1, decay=0.5),
    batch_size=512,
    name="scale-bias",
)

experiments = [
    base,
    base.but(embedding=both.but(bias=False), name="scale"),
    base.but(embedding=both.but(norm_scale=False), name="bias"),
    base.but(embedding=neither, name="neither"),
    base.but(stages=ladder(CurricularFace), name="curricular-scale-bias"),
]
