"""What does MobileNet reach on MS1M-ArcFace (emore) by 17 epochs of a cosine and 33 of its restart?

Cost: 50 epochs of 5,822,653 images, 11,372 steps of 512 each.  Expected: lfw .996, cfp_fp .917, agedb_30 .958.
Needs faces_emore_112x112_folders and the three .bin files under WORKBENCH_DATA.
"""

from baseline_casia import norms

from workbench import GDC, L2, SGD, ArcFace, Cosine, Experiment, Flip, ImageFolder, MobileNet, Pairs, Stage

faces = ImageFolder("faces_emore_112x112_folders", identities=85742, images=5822653)
sets = (Pairs("lfw.bin"), Pairs("cfp_fp.bin"), Pairs("agedb_30.bin"))

experiment = Experiment(
    data=faces,
    evaluate=sets,
    backbone=MobileNet(**norms),
    embedding=GDC(size=512, bias=True, **norms),
    stages=(
        Stage(loss=ArcFace(scale=16), epochs=5),
        Stage(loss=ArcFace(scale=32), epochs=5),
        Stage(loss=ArcFace(scale=64), epochs=7),  # ends with the first cycle
        Stage(loss=ArcFace(scale=64), epochs=33),  # the second cycle, at half the height
    ),
    optimizer=SGD(momentum=0.9),
    learning_rate=Cosine(peak=0.1, floor=1e-4, cycle=16, decay=0.5, per="batch"),
    weight_decay=L2(5e-4),
    augment=Flip(),
    batch_size=512,
)
