"""Does a rate that is divided by the number of the step train one hidden layer on MNIST?

Cost: 5 epochs of 60,000 images, a minute on two CPU cores; MNIST comes from keras.datasets (11 MB, downloaded once).
Expected: .979 of the 10,000 test images; a constant rate of a thousandth reaches about as much.
The notebook's schedule is 0.1 over the number of the step; there are 1,875 steps in an epoch.
"""

from workbench import MLP, Adam, Experiment, Features, InverseTime, KerasData, Softmax, Stage

base = Experiment(
    data=KerasData("mnist"),
    validation=KerasData("mnist", subset="test"),
    backbone=MLP(image_size=28, units=(512,), pixels="unit", grey=True),
    embedding=Features(),
    stages=Stage(loss=Softmax(), epochs=5),
    optimizer=Adam(),
    learning_rate=InverseTime(peak=0.1, rate=1875, per="batch"),
    batch_size=32,
    name="inverse-time",
)

experiments = [base, base.but(learning_rate=1e-3, name="constant")]
