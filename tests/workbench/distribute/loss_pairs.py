"""Train three steps with losses that gather on one and on two logical devices; print the differences as JSON.

A process of its own, because logical devices must exist before TensorFlow starts. For a loss with batch
statistics a third training works on each device's own part, to show that gathering makes a difference. A head
without statistics comes along, whose gradients are sums of both devices; `test_losses.py` has all other losses.
"""

from __future__ import annotations

import contextlib
import functools
import json
import types
from pathlib import Path
from typing import Any
from unittest import mock

from shallow import shallow

import workbench
from workbench import MLP, ArcFace, Experiment, Identities, Linear, Mirrored, SyntheticFaces, Triplet
from workbench.distribute import setup, strategy
from workbench.models.build import build_model
from workbench.models.heads.partial_fc import Sampled
from workbench.spec.datasets import default_places
from workbench.spec.part import find
from workbench.spec.stage import Stage
from workbench.train.run_data import RunData

STEPS = 3
# Each loss is traced two or three times, so what stands before it is one layer.
SMALL: dict[str, Any] = {
    "data": SyntheticFaces(identities=15, images=8, image_size=16),
    "backbone": MLP(image_size=16, units=(16,), dropout=0.0, activation="swish"),
    "embedding": Linear(size=16),
    "evaluate": (),
    "augment": None,
    "weight_decay": None,
}


def losses() -> list[Any]:
    names = [name for name, place in workbench.PARTS.items() if place.startswith("workbench.losses")]
    found = [find(name)() for name in names if getattr(find(name), "batch_statistics", None)]
    return [*found, ArcFace(head=Sampled(rate=0.8)), Triplet(mining="all"), Triplet(mining="semi-hard")]


def spec(loss: Any, where: Any) -> Experiment:
    stage = Stage(loss=loss, epochs=1, sampler=Identities(identities=4, images=4))
    return shallow(**{**SMALL, "stages": (stage,), **({} if where is None else {"devices": where})})


@functools.cache
def drawn() -> tuple[tuple[Any, ...], int]:
    """Return the batches of all trainings, as arrays [steps, B, ...], and the number of identities: drawn once."""
    import numpy as np

    experiment = spec(ArcFace(), None)
    data, plan = RunData(experiment, default_places(Path.cwd()), STEPS), experiment.plans()[0]
    rows = list(data.training(plan, 0, 0).as_numpy_iterator())
    return tuple(np.stack(column) for column in zip(*rows)), data.classes(plan)


def trained(loss: Any, where: Any) -> tuple[list[float], list[Any]]:
    """Return the losses of the first steps and the state of the loss after them."""
    import tensorflow as tf

    from workbench.train.trainer import Trainer

    experiment = spec(loss, where)
    group, _ = strategy.join(experiment, strategy.Launch("pairs", False))
    columns, classes = drawn()
    setup.seed(0, 0)
    with group.scope():
        trainer = Trainer(build_model(experiment))
        group.ready(trainer.embedder)
        trainer.begin_stage(experiment.plans()[0], STEPS, classes, None)
    batches = group.feed(lambda shard: tf.data.Dataset.from_tensor_slices(columns))
    trainer.fit(batches, epochs=1, steps_per_epoch=STEPS, verbose=0)
    state = [v.numpy().tolist() for v in trainer.losses_by_term[loss.term].variables]
    found = [float(value) for value in trainer.recent["loss"].numpy()[:STEPS]]
    tf.keras.backend.clear_session()
    return found, state


def differences(one: tuple[list[float], list[Any]], two: tuple[list[float], list[Any]]) -> list[float]:
    """Return the largest relative difference of the losses and of the states."""
    import numpy as np

    def apart(a: Any, b: Any) -> float:
        a, b = np.asarray(a, float), np.asarray(b, float)
        return float(np.abs(a - b).max(initial=0.0) / max(np.abs(a).max(initial=0.0), 1e-3))

    return [apart(one[0], two[0]), max((apart(a, b) for a, b in zip(one[1], two[1])), default=0.0)]


def main() -> None:
    import workbench.losses.adaptive
    import workbench.losses.metric

    pair = Mirrored(kind="cpu", count=2)
    strategy._logical_cpus(2)
    alone: Any = types.SimpleNamespace(gather=lambda x: x, mean=lambda x: x, count=lambda: 1)
    result = {}
    for loss in losses():
        one, two = trained(loss, None), trained(loss, pair)
        own = None
        if loss.batch_statistics:
            with contextlib.ExitStack() as patches:
                for module in (workbench.losses.adaptive, workbench.losses.metric):
                    patches.enter_context(mock.patch.object(module, "collectives", alone))
                own = differences(one, trained(loss, pair))
        result[str(loss)] = {"two": differences(one, two), "own": own, "statistics": loss.batch_statistics}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
