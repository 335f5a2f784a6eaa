"""What does a minute of training reach on people of LFW whom it never saw, and how much do seeds differ?

Cost: about one minute and a half of one CPU core a run.  `workbench run experiments/lfw_baseline.py --seeds 0-2`.
Expected: far below View 2's results, with seeds about .01 apart.
180 of the 610 people with four images or more are held out; 2,000 pairs of them, each person as likely as any other.
The other lfw_ studies change one thing of `base`; View 2's pairs play no part in them.
Expected: well above chance; seeds differ by about as much as most of the settings that are changed.
"""

from workbench import (
    L2,
    SGD,
    CosFace,
    Cosine,
    Cutout,
    E,
    Experiment,
    FaceResNet,
    Flip,
    HeldOutPairs,
    ImageFolder,
    Softmax,
    Stage,
)

base = Experiment(
    name="base",
    data=ImageFolder("lfw", min_images=4),
    evaluate=HeldOutPairs(identities=180, pairs=2000, draw="people", name="unseen"),
    backbone=FaceResNet(layers=18, width=0.25, depth=0.5, stem_stride=2, image_size=64, activation="relu"),
    embedding=E(size=128, dropout=0.4),
    stages=(
        Stage(loss=Softmax(), epochs=4, name="softmax"),
        Stage(loss=CosFace(scale=32, margin=0.35), epochs=6, name="cosface"),
    ),
    optimizer=SGD(momentum=0.9),
    learning_rate=Cosine(peak=0.1, floor=1e-4, cycle=9, restarts=False, warmup=1, per="batch"),
    weight_decay=L2(5e-4),
    augment=(Flip(), Cutout()),
    batch_size=64,
    select="accuracy",  # the people who are reported choose no epoch
)
experiments = [base]
