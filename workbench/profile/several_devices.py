"""What several devices cost beyond one: the sums of a step, and the step that they do together.

The sums are timed by themselves, on tensors as large as the training's own, in the strategy or the processes
that train. All processes must call these functions in the same order: a sum waits for everybody.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench.distribute import collectives, setup
from workbench.distribute.group import Group, MirroredGroup
from workbench.lazy import tf
from workbench.models.build import build_model
from workbench.profile.timer import Cost, compiled, timed
from workbench.profile.xplane import STEP
from workbench.spec.experiment import Experiment
from workbench.spec.plan import Plan
from workbench.train.run_data import RunData
from workbench.train.trainer import Trainer

TRACED = 3  # steps in the TensorBoard trace


def reduce_part(group: Group, gradients: Sequence[Any], same_rows: bool) -> Cost:
    """Return what summing a step's gradients over the devices of `group` costs.

    `gradients` are those of one step: only their sizes matter, and which rows those of a few rows have.
    With `same_rows` these rows are the same on all devices.
    """
    if group.replicas == 1:
        return Cost("reduce", 0.0, 0.0, "one device")
    given = [gradient for gradient in gradients if gradient is not None]
    level = tf.Variable(1.0, trainable=False)  # a constant is summed once, when the graph is made, by Horovod

    def summed() -> list[tf.Tensor]:
        like = [_filled(one, level.read_value()) for one in given]
        return [_values(one) for one in collectives.total_gradients(like, same_rows)]

    def alone() -> list[tf.Tensor]:
        return [_values(_filled(one, level.read_value())) for one in given]

    size = sum(4 * int(tf.size(getattr(one, "values", one))) for one in given) / 1e6
    cost = timed("reduce", compiled(on_each(group, summed)))
    bare = timed("bare", compiled(on_each(group, alone)))
    return cost.less(bare, "reduce", f"{size:,.2f} MB of gradients over {group.replicas} devices")


def norms_part(group: Group, network: tf.keras.Model) -> Cost | None:
    """Return what the sums of synchronised batch normalisation cost; None where there are none.

    Each layer sends mean and variance of its C channels forward, and their gradients backward, and waits.
    """
    kinds = tf.keras.layers.BatchNormalization
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, kinds)]
    if group.replicas == 1 or not getattr(group, "sync_norms", False) or not layers:
        return None
    channels = [int(layer.moving_mean.shape[0]) for layer in layers]
    first = tf.Variable(1.0, trainable=False)

    def chain() -> list[tf.Tensor]:
        start = first.read_value()
        with tf.GradientTape() as tape:
            tape.watch(start)
            level = start
            for count in channels:  # each sum waits for the one before, as layer waits for layer
                level = tf.reduce_mean(collectives.stacked(level * tf.ones([2, count])))
        return [level, tape.gradient(level, start)]

    cost = timed("norms", compiled(on_each(group, chain)))
    return dataclasses.replace(cost, note=f"{len(layers)} normalisations: a sum forward, one backward each")


def on_each(group: Group, function: Callable[[], list[tf.Tensor]]) -> Callable[[], list[tf.Tensor]]:
    """Return a function that does `function` on every device of this process and returns the first one's results."""
    if not isinstance(group, MirroredGroup):
        return function
    strategy = group.strategy

    def everywhere() -> list[tf.Tensor]:
        results = strategy.run(function)
        return [strategy.experimental_local_results(value)[0] for value in results]

    return everywhere


def _filled(gradient: Any, level: tf.Tensor) -> Any:
    """Return what looks like `gradient` with `level` everywhere."""
    if isinstance(gradient, tf.IndexedSlices):
        rows, shape = tf.constant(gradient.indices.numpy()), tuple(gradient.dense_shape.numpy())
        return tf.IndexedSlices(tf.fill(gradient.values.shape, level), rows, shape)
    return tf.fill(gradient.shape, level)


def _values(gradient: Any) -> tf.Tensor:
    """Return one number that has to wait for all of `gradient`."""
    return tf.reduce_sum(getattr(gradient, "values", gradient))


# ---------------------------------------------------------------- the whole step


def trainer_of(experiment: Experiment, data: RunData, plan: Plan, group: Group) -> Trainer:
    """Return a fresh trainer at the start of `plan`, made as a run makes it on the devices of `group`."""
    setup.seed(experiment.seed, 0)
    with group.scope():
        trainer = Trainer(build_model(experiment))
    group.ready(trainer.embedder)
    with group.scope():
        trainer.begin_stage(plan, data.steps(plan), data.classes(plan), data.teacher_size(plan))
    return trainer


def whole_step(trainer: Trainer, data: RunData, seed: int, group: Group) -> Cost:
    """Return what a step of all devices together costs, on one batch that is kept in memory."""
    plan = trainer.plan
    assert plan is not None

    def kept(shard: tuple[int, int]) -> tf.data.Dataset:
        return data.training(plan, seed, 0, None, shard).take(1).cache().repeat()

    # Kept in memory: what the pipeline costs is measured by itself, and here would hide what the devices wait for.
    rows, step = iter(group.feed(kept)), trainer.make_train_function(force=True)
    per = plan.devices.steps_per_execution
    return timed("together", lambda: float(step(rows)["loss"]), per=per)


def traced(trainer: Trainer, data: RunData, seed: int, group: Group, folder: Path) -> None:
    """Write what TensorFlow's profiler sees of a few steps, after one that is not traced; the chief writes."""
    plan = trainer.plan
    assert plan is not None
    step = trainer.make_train_function(force=True)
    rows = iter(group.feed(lambda shard: data.training(plan, seed, 0, None, shard).repeat()))
    step(rows)
    if group.chief:
        tf.profiler.experimental.start(str(folder))
    try:
        for number in range(TRACED):
            with tf.profiler.experimental.Trace(STEP, step_num=number, _r=1):
                float(step(rows)["loss"])
    finally:
        if group.chief:
            tf.profiler.experimental.stop()


def gradients_of(trainer: Trainer, batch: Any) -> list[Any]:
    """Return the gradients of one step of this device alone, as the step hands them to the others."""

    @tf.function(autograph=False)
    def found() -> list[Any]:
        with tf.GradientTape() as tape:
            loss = trainer.total(trainer.batch_terms(batch, training=True)[0])[0]
        return [one for one in tape.gradient(loss, trainer.trained()) if one is not None]

    return list(found())
