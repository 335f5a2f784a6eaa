"""How far does LFW's View 2 go with no outside data: ten folds, each trained on LFW's other people alone?

Cost: `fast` about 2 minutes of one CPU core a fold, `long` about 7.  Needs LFW under WORKBENCH_DATA: lfw/NAME/*.jpg and
lfw/pairs.txt.  `workbench run experiments/lfw_view2.py long --jobs 2`, then `workbench folds lfw_view2`.

View 2's pairs choose nothing, and no epoch is chosen by them: the last one counts.  Margin, scale, decay, augmentation
and length were chosen on people held out of the training people of fold 1 (`chosen_on`, no person of set 1 among
them): 25 epochs of CosFace at scale 32 and margin .35 with L2 5e-4 gave .862 there, 45 with small rotations .868,
scale 24 and margin .2 .874, L2 1e-3 with these .884, 2e-3 less; MobileFaceNet costs six times as much an epoch.

Expected: well above chance, far below what training on millions of other photographs gives.
"""

from lfw_baseline import base

from workbench import L2, Affine, CosFace, Cutout, Flip, HeldOutPairs, ImageFolder, Pairs, PeopleOf

fast = base.but(
    name="fast",
    data=ImageFolder("lfw", min_images=2),
    evaluate=Pairs("lfw/pairs.txt", name="lfw"),
    stages=(base.stages[0].but(epochs=2), base.stages[1].but(epochs=8)),
)

long = fast.but(
    name="long",
    stages=(fast.stages[0].but(epochs=5), fast.stages[1].but(loss=CosFace(scale=24, margin=0.2), epochs=35)),
    learning_rate=fast.learning_rate.but(cycle=39),
    weight_decay=L2(1e-3),
    augment=(Flip(), Affine(rotation=6, zoom=0.08, shift=0.04), Cutout()),
)

# Recipes are compared on people who are in no training set: 180 of the training people of fold 1, and 2,000 pairs.
chosen_on = long.but(
    name="chosen-on",
    data=ImageFolder("lfw", min_images=2, leave_out=PeopleOf(Pairs("lfw/pairs.txt", sets=(1,)))),
    evaluate=HeldOutPairs(identities=180, pairs=2000, draw="people"),
)
experiments = [*fast.folds(), *long.folds(), chosen_on]
