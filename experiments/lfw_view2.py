"""How far does LFW's View 2 go with no outside data: ten folds, each trained on LFW's other people alone?

Cost: `fast` about 2 minutes of one CPU core a fold, `long` about 40 (no run of it is reported).  Needs LFW under
WORKBENCH_DATA: lfw/NAME/*.jpg and lfw/pairs.txt.  `workbench run experiments/lfw_view2.py fast --jobs 2`, then
`workbench folds lfw_view2`.

View 2's pairs choose nothing, and no epoch is chosen by them: the last one counts.  The recipe was chosen on people
held out of the training people of fold 1 (`chosen_on`, no person of set 1 among them).
Expected: well above chance, far below what training on millions of other photographs gives.
"""

from lfw_baseline import base

from workbench import Affine, Cutout, Flip, HeldOutPairs, ImageFolder, Pairs, PeopleOf

fast = base.but(
    name="fast",
    data=ImageFolder("lfw", min_images=2),
    evaluate=Pairs("lfw/pairs.txt", name="lfw"),
    stages=(base.stages[0].but(epochs=2), base.stages[1].but(epochs=8)),
)

long = fast.but(
    name="long",
    backbone=fast.backbone.but(width=0.375, image_size=96),
    stages=(fast.stages[0].but(epochs=5), fast.stages[1].but(epochs=35)),
    learning_rate=fast.learning_rate.but(cycle=39),
    augment=(Flip(), Affine(rotation=6, zoom=0.08, shift=0.04), Cutout()),
)

# Recipes are compared on people who are in no training set: 180 of the training people of fold 1, and 2,000 pairs.
chosen_on = fast.but(
    name="chosen-on",
    data=ImageFolder("lfw", min_images=2, leave_out=PeopleOf(Pairs("lfw/pairs.txt", sets=(1,)))),
    evaluate=HeldOutPairs(identities=180, pairs=2000, draw="people"),
)
experiments = [*fast.folds(), *long.folds(), chosen_on]
