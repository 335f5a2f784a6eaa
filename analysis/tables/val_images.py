"""Of how many images a run's `val_accuracy` is a share, from the run's settings: what noise it can have."""

from __future__ import annotations

from typing import Any

from analysis.frames import is_missing
from workbench.names import ACCURACY, VAL_PREFIX

KERAS = {  # training and test images of Keras's data sets
    "mnist": (60000, 10000),
    "fashion_mnist": (60000, 10000),
    "cifar10": (50000, 10000),
    "cifar100": (50000, 10000),
}
DIGITS = 1797  # of scikit-learn


def val_images(run: Any, metric: str) -> int:
    """Return the number of images that `metric` of a row of the frame of runs is a share of, 0 where it is unknown."""
    if metric != f"{VAL_PREFIX}{ACCURACY}":
        return 0
    if not is_missing(run.get("validation")):
        return size_of(run, "validation")
    share = run.get("data.hold_out")
    return 0 if is_missing(share) else round(float(share) * size_of(run, "data"))


def size_of(run: Any, source: str) -> int:
    """Return the number of images of a source of a run, 0 where its settings do not tell."""
    stated, name = run.get(f"{source}.images"), run.get(f"{source}.name")
    kind = run.get(source)
    if kind == "Digits":
        return DIGITS
    if kind == "KerasData" and name in KERAS:
        return KERAS[name][run.get(f"{source}.subset") == "test"]
    if is_missing(stated):
        return 0
    people = run.get(f"{source}.identities")
    return int(stated) * (int(people) if kind == "SyntheticFaces" and not is_missing(people) else 1)
