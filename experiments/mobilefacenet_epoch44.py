"""Where should MobileFaceNet go from epoch 44: a smaller scale, a fixed rate, another optimizer?

Cost: one trunk of 44 epochs of 5,822,653 images at batch 160, four branches of 10, and two of 10 from epoch 54.
Expected: scale 32 at a fixed rate is best on lfw; all others differ by noise.
The page calls the fixed rate 1e-5 once and 5e-5 once: 5e-5 is what the history records.
"""

import mobilefacenet_emore

from workbench import SGD, Adam, ArcFace, Nadam, Stage

trunk = mobilefacenet_emore.base
ten = Stage(loss=ArcFace(scale=64), epochs=10)
scale32 = ten.but(loss=ArcFace(scale=32))
nadam = trunk.branch(at_epoch=44, stages=ten.but(optimizer=Nadam()), name="scale64-nadam")
sgd = ten.but(
    optimizer=SGD(momentum=0.9)
)  # made with 0.001; the run's schedule moves it, as the history shows

experiments = [
    trunk.branch(at_epoch=44, stages=scale32.but(learning_rate=5e-5), name="scale32-fixed"),
    trunk.branch(at_epoch=44, stages=scale32, name="scale32-decay"),
    trunk.branch(at_epoch=44, stages=sgd, name="scale64-sgd"),
    nadam,
    nadam.branch(at_epoch=54, stages=ten.but(optimizer=Nadam()), name="from54-nadam"),
    nadam.branch(at_epoch=54, stages=ten.but(optimizer=Adam()), name="from54-adam"),
]
