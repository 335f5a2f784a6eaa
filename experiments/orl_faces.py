"""Can 300 photographs of 30 people teach a network to tell ten others apart better than raw pixels do?

Cost: 60 epochs of 6 steps, a minute or two on two CPU cores.  Needs the ORL faces under WORKBENCH_DATA.
"""

from workbench import (
    Adam,
    Affine,
    ArcFace,
    Cosine,
    E,
    Experiment,
    Flip,
    HeldOutPairs,
    ImageFolder,
    OrientedGradients,
    Stage,
)


def people(first: int, last: int, step: int = 1) -> tuple[str, ...]:
    """Return the folder names of subjects `first` to `last`."""
    return tuple(f"s{number:02d}" for number in range(first, last + 1, step))


def fold(number: int) -> Experiment:
    """Return the study with a fourth of subjects 1 to 30 held out, on which everything is chosen."""
    held_out = HeldOutPairs(identities=people(number, 30, 4), name="unseen")
    return final.but(evaluate=held_out, name=f"fold{number}")


final = Experiment(
    name="final",
    data=ImageFolder("orl_faces", only=people(1, 30)),
    evaluate=HeldOutPairs(ImageFolder("orl_faces", only=people(31, 40)), name="unseen"),
    backbone=OrientedGradients(directions=8, cell=16),
    embedding=E(size=256, dropout=0.5),
    stages=Stage(loss=ArcFace(scale=16, margin=0.2), epochs=60),
    optimizer=Adam(),
    learning_rate=Cosine(peak=0.003, floor=1e-4, cycle=60),
    augment=(Flip(), Affine(rotation=5, zoom=0.06, shift=0.04)),
    batch_size=50,
    select="accuracy",  # the epoch is not chosen on the people who are reported: the last one counts
)
experiments = [final, *(fold(number) for number in range(1, 5))]
