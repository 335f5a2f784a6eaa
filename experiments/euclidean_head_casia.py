"""Can distances to class centers replace ArcFace's angles on CASIA?

Cost: three variants of 70 epochs of 490,623 images.  Expected: below ArcFace on every set.
"""

import baseline_casia

from workbench import Euclidean, MarginSoftmax, Softmax, Stage

base = baseline_casia.experiment.but(name="base")


def five(loss: Softmax | MarginSoftmax) -> tuple[Stage, ...]:
    """Return the ladder's five stages with one loss throughout."""
    return tuple(stage.but(loss=loss) for stage in base.stages)


experiments = [
    base,
    base.but(stages=five(Softmax(head=Euclidean())), name="softmax"),
    base.but(stages=five(MarginSoftmax(head=Euclidean())), name="margin-softmax"),
]
