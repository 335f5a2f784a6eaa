"""Which settings of a small network on handwritten digits matter, and do three searches agree on them?

Cost: 16 trials by grid, 30 of Hyperband's short steps and 14 trials by Bayesian optimisation, of 12 epochs at
most; each sweep takes one to three minutes on two CPU cores.  Expected: the learning rate decides, label
smoothing and dropout hardly show within 359 held-out images.
"""

from workbench import (
    MLP,
    SGD,
    BayesianOptimization,
    Choice,
    Digits,
    Experiment,
    F,
    Float,
    GridSearch,
    Hyperband,
    Int,
    Softmax,
    Stage,
    Sweep,
)

experiment = Experiment(
    data=Digits(hold_out=0.2),
    backbone=MLP(image_size=8, units=(64,)),
    embedding=F(size=32),
    stages=Stage(loss=Softmax(), epochs=12),
    optimizer=SGD(momentum=0.9),
    learning_rate=0.02,
    weight_decay=1e-4,
    batch_size=64,
)

choices = {
    "learning_rate": Choice(0.002, 0.02),
    "backbone.units.1": Choice(16, 64),
    "label_smoothing": Choice(0, 0.1),
    "embedding.dropout": Choice(0, 0.4),
}
ranges = {
    "learning_rate": Float(1e-3, 0.3, sampling="log"),
    "backbone.units.1": Int(16, 128, 16),
    "label_smoothing": Choice(0, 0.1),
    "embedding.dropout": Choice(0, 0.4),
}

grid = Sweep(base=experiment, space=choices, tuner=GridSearch(), objective="val_accuracy", name="digits-grid")
halving = Sweep(
    base=experiment,
    space=ranges,
    tuner=Hyperband(max_epochs=12, factor=3),
    objective="val_accuracy",
    name="digits-hyperband",
)
bayes = Sweep(
    base=experiment,
    space=ranges,
    tuner=BayesianOptimization(max_trials=14, num_initial_points=6),
    objective="val_accuracy",  # val_loss holds the label smoothing that is varied
    name="digits-bayes",
)
sweeps = [grid, halving, bayes]
