"""Weight decay, label smoothing and dropout together: what does halving find on LFW, and what does each do?

Cost: about twenty trials of two to nine epochs, 20 minutes of one CPU core.  `workbench sweep experiments/lfw_sweep.py`,
then `workbench effects lfw-hyperband`.  Expected: dropout counts most, smoothing least.
"""

from lfw_baseline import base

from workbench import Choice, CosFace, Hyperband, Stage, Sweep

experiment = base.but(
    stages=Stage(loss=CosFace(scale=32, margin=0.2), epochs=9),
    learning_rate=base.learning_rate.but(cycle=8),
    select=None,  # the held-out people choose: a sweep is a search, and its best value flatters
)
sweep = Sweep(
    base=experiment,
    space={
        "weight_decay.value": Choice(1e-4, 5e-4, 2e-3),
        "label_smoothing": Choice(0.0, 0.1),
        "embedding.dropout": Choice(0.0, 0.2, 0.4),
    },
    tuner=Hyperband(max_epochs=9, factor=3),
    name="lfw-hyperband",
)
