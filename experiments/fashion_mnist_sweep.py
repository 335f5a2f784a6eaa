"""How wide should one hidden layer be on Fashion-MNIST, and at which rate does Adam train it best?

Cost: Hyperband up to 10 epochs with factor 3, and two grids of 4 short trials: under an hour on two CPU cores.
Fashion-MNIST comes from keras.datasets (30 MB, downloaded once). Expected: a few hundred units and 1e-3.
"""

from workbench import (
    MLP,
    SGD,
    Adam,
    Choice,
    Experiment,
    Features,
    GridSearch,
    Hyperband,
    Int,
    KerasData,
    Softmax,
    Stage,
    Sweep,
)

experiment = Experiment(
    data=KerasData("fashion_mnist"),
    validation=KerasData("fashion_mnist", subset="test"),
    backbone=MLP(image_size=28, units=(128,), pixels="unit", grey=True),
    embedding=Features(),
    stages=Stage(loss=Softmax(), epochs=10),
    optimizer=Adam(),
    learning_rate=1e-3,
    batch_size=32,
)

halving = Sweep(
    base=experiment,
    space={"backbone.units.1": Int(32, 512, 32), "learning_rate": Choice(1e-2, 1e-3, 1e-4)},
    tuner=Hyperband(max_epochs=10, factor=3),
    objective="val_accuracy",
    name="fashion-hyperband",
)
quick = experiment.but(stages=experiment.stages[0].but(epochs=1))
nets = {"backbone.units.1": Choice(16, 32), "backbone.dropout": Choice(0.1, 0.2)}
adam = Sweep(base=quick, space=nets, tuner=GridSearch(), objective="val_accuracy", name="fashion-grid-adam")
sgd = Sweep(
    base=quick.but(optimizer=SGD(), learning_rate=0.01),
    space=nets,
    tuner=GridSearch(),
    objective="val_accuracy",
    name="fashion-grid-sgd",
)
sweeps = [halving, adam, sgd]
