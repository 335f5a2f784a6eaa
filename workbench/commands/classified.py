"""What a run's classifier says of the images that it was not trained on: the material of `confusion` and `errors`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.spec.datasets import Images, default_places
from workbench.spec.experiment import Experiment


@dataclass(frozen=True)
class Classified:
    """Images that were held out, and what was predicted for them; classes are numbered as `names` has them."""

    names: tuple[str, ...]
    true: np.ndarray  # int [N]
    predicted: np.ndarray  # int [N]
    confidence: np.ndarray  # [N], the classifier's value of the class that it predicts
    images: Images
    records: np.ndarray  # int [N], their places in `images`


def has_images(experiment: Experiment) -> bool:
    """Tell whether a run measures a classifier at all: on a validation set, or on what it held out."""
    return experiment.validation is not None or bool(experiment.data.hold_out)


def require_images(experiment: Experiment, run: str, do: str) -> None:
    """Raise `InputError` for a run that has no images which it was not trained on."""
    if not has_images(experiment):
        raise InputError("has no validation set and held nothing out", where=run, do=do)


def classified(
    network: Any, experiment: Experiment, project: Path, run: str, most: int | None = None
) -> Classified:
    """Return what `network`, which gives a value a class, predicts for the images of a validation set or hold-out.

    Raises `InputError` where its classes are not the identities of the data, or more than `most`.
    """
    from workbench.data import pipeline
    from workbench.train.run_data import RunData

    data = RunData(experiment, default_places(project))
    plans, classes = experiment.plans(), int(network.output_shape[-1])
    plan = next((plan for plan in plans if len(data.identities(plan)) == classes), plans[0])
    names = data.identities(plan)
    if classes != len(names) or (most is not None and classes > most):
        limit = f", and at most {most}" if most is not None else ""
        raise InputError(
            f"{classes} classes for {len(names)} identities of the data",
            where=run,
            expected=f"as many{limit}",
        )
    split = data.held(plan)
    rows = []
    for images, truth, *_ in pipeline.holdout(split.images, split.held, plan.batch_size, data.size):
        values = np.asarray(network(pipeline.normalise(images), training=False))
        rows.append((np.asarray(truth), values.argmax(axis=1), values.max(axis=1)))
    true, predicted, confidence = (np.concatenate(part) for part in zip(*rows))
    return Classified(tuple(names), true, predicted, confidence, split.images, split.held)
