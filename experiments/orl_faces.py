"""Can 300 photographs of 30 people teach a network to tell ten others apart better than raw pixels do?

Cost: 60 epochs of 6 steps, a minute or two on two CPU cores.  Needs the ORL faces under WORKBENCH_DATA.
Chosen on four folds of subjects 1 to 30 (network against pixels): .949 .901, .974 .961, .878 .851, .943 .919.
Subjects 31 to 40, last epoch: network .8922, pixels .8611, difference +.0311 (-.0462 to +.0947 over subjects).
`workbench run experiments/orl_faces.py final`, then `python experiments/orl_faces.py` prints the last line anew.
"""

from typing import Any

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

    Both use the threshold of best accuracy. The interval is over subjects: the ten people are drawn
    anew with repetition 2,000 times, a pair counting as often as the product of its people's draws.
    """
    import numpy as np

    from workbench.spec.datasets import default_places
    from workbench.tracking.runs import find_run, read_states
    from workbench.tracking.store import find_store

    at = find_store(store)
    starts = [(state.run, state.journal.start) for state in read_states(at) if state.journal]
    name = find_run(at, run or [known for known, start in starts if start and start.name == "final"][-1])
    pairs = final.sets[0].open(default_places(), final.data)
    _, person = np.unique(pairs.identities, return_inverse=True)
    one, other = person[pairs.first], person[pairs.second]
    ours = np.load(at.run_artifacts(name) / "scores" / "last" / "unseen.npz")["scores"]
    raw = pixels(pairs)
    rng, found = np.random.default_rng(0), []
    for _ in range(2000):
        drawn = np.bincount(rng.integers(0, 10, 10), minlength=10)
        weight = np.where(pairs.same, drawn[one], drawn[one] * drawn[other]).astype(float)
        found.append(accuracy(ours, pairs.same, weight) - accuracy(raw, pairs.same, weight))
    both = [accuracy(scores, pairs.same, np.ones(len(ours))) for scores in (ours, raw)]
    low, high = np.quantile(found, [0.025, 0.975])
    print(f"run {name}: {len(ours)} pairs of {len(set(person))} people never seen in training")
    print(
        f"network {both[0]:.4f}, pixels {both[1]:.4f}, difference {both[0] - both[1]:+.4f} ({low:+.4f} to {high:+.4f})"
    )


def pixels(pairs: Any) -> Any:
    """Return the cosines of grey images minus the mean training image, [P]: nothing is trained."""
    import numpy as np

    from workbench.spec.datasets import default_places

    size, faces = final.backbone.image_size, final.data.open(default_places())
    read = faces.reader(size)
    mean = np.mean([np.asarray(read(number), np.float64).mean(-1) for number in range(len(faces.labels))], 0)
    flat = (pairs.pixels(size).mean(-1) - mean).reshape(len(pairs.identities), -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return np.sum(flat[pairs.first] * flat[pairs.second], axis=1)


def accuracy(scores: Any, same: Any, weight: Any) -> float:
    """Return the weighted share of right decisions at the best threshold."""
    import numpy as np

    order = np.argsort(-scores)
    genuine, impostors = (np.cumsum((weight * kind)[order]) for kind in (same, ~same))
    return float(np.max(genuine - impostors + impostors[-1]) / weight.sum())


if __name__ == "__main__":
    compare()
