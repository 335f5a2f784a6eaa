"""Do weight decay, label smoothing and dropout help three convolutions on CIFAR-10, alone or together?

Cost: 16 combinations of 20 epochs by grid, or Hyperband up to 50 epochs with factor 6; a few hours on one
GPU. CIFAR-10 comes from keras.datasets (170 MB, downloaded once). Expected: dropout helps most, weight
decay and label smoothing little; the best val_accuracy and the lowest val_loss are not of one trial.
As in the notebook the official test images choose: what the best trial reaches on them is a little too good.
"""

from workbench import (
    AdamW,
    Choice,
    Experiment,
    Features,
    GridSearch,
    Hyperband,
    KerasData,
    PlainCNN,
    Softmax,
    Stage,
    Sweep,
)

experiment = Experiment(
    data=KerasData("cifar10"),
    validation=KerasData("cifar10", subset="test"),
    backbone=PlainCNN(image_size=32, filters=(32, 64, 64), dense=64, dropout=0, pixels="unit"),
    embedding=Features(),
    stages=Stage(loss=Softmax(), epochs=20),
    optimizer=AdamW(),
    learning_rate=1e-3,
    weight_decay=5e-5,
    batch_size=32,
)

space = {
    "weight_decay": Choice(0, 1e-5, 5e-5, 1e-4),
    "label_smoothing": Choice(0, 0.1),
    "backbone.dropout": Choice(0, 0.4),
}

grid = Sweep(base=experiment, space=space, tuner=GridSearch(), objective="val_accuracy", name="cifar10-grid")
halving = Sweep(
    base=experiment.but(stages=experiment.stages[0].but(epochs=50)),
    space=space,
    tuner=Hyperband(max_epochs=50, factor=6),
    objective="val_accuracy",
    name="cifar10-hyperband",
)
sweeps = [grid, halving]
