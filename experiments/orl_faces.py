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


def compare(run: str | None = None, store: str | None = None) -> None:
    """Print the accuracies of a finished `final` run and of raw pixels on the same pairs, and their difference.

    Pixels: the cosine of grey images minus the mean of the training images, nothing trained. Both use
    the threshold of best accuracy. The interval is over subjects: the ten people are drawn anew with
    repetition 2,000 times, a pair counting as often as the product of its people's draws.
    """
    import numpy as np

    from workbench.catalog import places
    from workbench.tracking.runs import find_run, read_states
    from workbench.tracking.store import find_store

    at = find_store(store)
    finished = [
        s.run for s in read_states(at) if s.journal and s.journal.start and s.journal.start.name == "final"
    ]
    name = find_run(at, run) if run else finished[-1]
    ours = np.load(at.run_artifacts(name) / "scores" / "last" / "unseen.npz")["scores"]
    where, size = places(), final.backbone.image_size
    pairs = final.sets[0].open(where, final.data)
    faces = final.data.open(where)
    read = faces.reader(size)
    mean = np.mean([np.asarray(read(number), np.float64).mean(-1) for number in range(len(faces.labels))], 0)
    flat = (pairs.pixels(size).mean(-1) - mean).reshape(len(pairs.identities), -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    pixels = np.sum(flat[pairs.first] * flat[pairs.second], axis=1)

    def accuracy(scores: np.ndarray, weight: np.ndarray) -> float:
        order = np.argsort(-scores)
        genuine = np.cumsum((weight * pairs.same)[order])
        impostors = np.cumsum((weight * ~pairs.same)[order])
        return float(np.max(genuine - impostors + impostors[-1]) / weight.sum())

    _, person = np.unique(pairs.identities, return_inverse=True)
    one, other = person[pairs.first], person[pairs.second]
    rng, found = np.random.default_rng(0), []
    for _ in range(2000):
        drawn = np.bincount(rng.integers(0, 10, 10), minlength=10)
        weight = np.where(pairs.same, drawn[one], drawn[one] * drawn[other]).astype(float)
        found.append(accuracy(ours, weight) - accuracy(pixels, weight))
    even = np.ones(len(ours))
    network, raw = accuracy(ours, even), accuracy(pixels, even)
    low, high = np.quantile(found, [0.025, 0.975])
    print(f"run {name}: {len(ours)} pairs of {len(set(person))} people never seen in training")
    print(
        f"network {network:.4f}, pixels {raw:.4f}, difference {network - raw:+.4f} ({low:+.4f} to {high:+.4f})"
    )


if __name__ == "__main__":
    compare()
