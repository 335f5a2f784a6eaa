"""What the workbench's own training loop costs over a bare `fit` of the same model, data and optimizer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paired import Row, compare, main

STEPS, REPEATS = 30, 9


def spec() -> Any:
    """Return a small MobileNet with softmax on drawn faces, without decay and augmentation."""
    from workbench import GAP, SGD, Experiment, MobileNet, Softmax, Stage, SyntheticFaces

    return Experiment(
        data=SyntheticFaces(identities=16, images=64),
        backbone=MobileNet(image_size=64, width=0.5),
        embedding=GAP(size=64),
        stages=Stage(loss=Softmax(), epochs=3 * REPEATS),
        optimizer=SGD(momentum=0.9),
        learning_rate=0.01,
        batch_size=32,
    )


def session(experiment: Any, folder: Path, steps: int = STEPS) -> Any:
    """Return a session of the real runner that records nothing at the end of an epoch."""
    from workbench.spec.datasets import default_places
    from workbench.spec.variant import Variant
    from workbench.tracking.store import find_store
    from workbench.train import runner
    from workbench.train.progress import Screen
    from workbench.train.request import RunRequest
    from workbench.train.run_data import RunData
    from workbench.train.session import Session

    class TrainingOnly(Session):
        def after_epoch(self, logs: Mapping[str, Any], seconds: float) -> None:
            self.epoch, self.epoch_step = self.epoch + 1, 0

    spec_file = folder / "bench.py"
    spec_file.write_text("")
    variant = Variant(experiment=experiment, name="bench", study="bench", path=str(spec_file), question="")
    request = RunRequest(variant, find_store(str(folder / "mlruns")), "bench", steps=steps)
    screen = Screen(stream=(folder / "screen.txt").open("w"))
    data = RunData(experiment, default_places(folder), steps)
    tracker = runner.open_tracker(request, data, experiment.plans(), None, screen)
    made = TrainingOnly(request, screen, tracker, data, None)
    made.build(None)
    made.begin_stage(experiment.plans()[0], None)
    return made


def bare(experiment: Any, data: Any) -> Any:
    """Return the same network with a plain Keras head, compiled the usual way."""
    import tensorflow as tf

    from workbench.models.build import build_model

    plan = experiment.plans()[0]
    network = tf.keras.Sequential([build_model(experiment), tf.keras.layers.Dense(data.classes(plan))])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=plan.optimizer.build(), loss=loss, metrics=["accuracy"])
    return network


def rows() -> list[Row]:
    """Measure whole epochs in turn, the first of each (tracing, filling caches) left out."""
    from workbench.distribute import setup

    experiment = spec()
    setup.prepare(experiment)
    plan = experiment.plans()[0]
    with tempfile.TemporaryDirectory() as name:
        work = session(experiment, Path(name))
        network = bare(experiment, work.data)

        def ours() -> None:
            work._fit(plan, STEPS, work.epoch + 1)

        def theirs() -> None:
            start = work.epoch * STEPS
            batches = work.data.training(plan, 0, start).map(lambda images, labels, ids: (images, labels))
            network.fit(batches, steps_per_epoch=STEPS, epochs=1, verbose=0)

        ratio = compare(ours, theirs, repeats=REPEATS, warmup=2)
        work.tracker.close()
    note = f"MobileNet 0.5 at 64 pixels, batch 32, {STEPS} steps an epoch"
    return [Row("training part of an epoch / bare model.fit", ratio, at_most=1.05, note=note)]


if __name__ == "__main__":
    main(rows)
