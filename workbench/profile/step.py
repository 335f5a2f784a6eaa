"""What a training step costs, part by part: the measurements behind `workbench profile`.

Parts of the data (read, decode, augment) and of the step (forward, head, backward, update) are found by
difference: the same work is timed with and without the part. Several devices add `reduce`, the sum of the
gradients, and what else `together` measures. `log` is what recording costs, spread over the steps of an epoch.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.distribute.collectives import alone
from workbench.distribute.group import Group
from workbench.lazy import tf
from workbench.models.backbones.count_ops import sizes
from workbench.pixels import normalise
from workbench.profile import several_devices, xplane
from workbench.profile.timer import DATA, Cost, Profile, compiled, timed
from workbench.spec.experiment import Experiment
from workbench.spec.plan import Plan
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EpochRecord
from workbench.train import checkpoint
from workbench.train.run_data import RunData
from workbench.train.trainer import Trainer

WAITING = "the rest: waiting at sums, shared cores, normalisation that is not fused"


# ---------------------------------------------------------------- data


def data_parts(data: RunData, plan: Plan, seed: int, batches: int, devices: int) -> Iterator[Cost]:
    """Yield the costs of reading, decoding and augmenting one of `devices` parts of a batch of `plan`."""
    images = data.splits[plan.data].images
    plain = passing(data, dataclasses.replace(plan, augment=()), seed, batches, devices)
    if images.raw is None or images.decode is None:
        yield dataclasses.replace(
            plain, part="read", note="the source decodes while it reads, or holds pixels"
        )
        yield Cost("decode", 0.0, 0.0, "in `read`")
    else:
        part = plan.batch_size // devices
        read = reading(images.raw, data.splits[plan.data].train, part, seed, batches)
        yield read
        yield plain.less(read, "decode", "and resize, batch")
    if not plan.augment:
        yield Cost("augment", 0.0, 0.0, "none")
    else:
        names = ", ".join(type(one).__name__ for one in plan.augment)
        yield passing(data, plan, seed, batches, devices).less(plain, "augment", names)


def passing(data: RunData, plan: Plan, seed: int, batches: int, devices: int) -> Cost:
    """Return what one device's part of a batch costs when nothing but the pipeline works."""
    source = data.training(plan, seed, 0, None, (0, devices)).take(batches)
    return timed("pipeline", lambda: _pull(source), per=batches)


def reading(raw: Callable[[Any], Any], records: np.ndarray, batch: int, seed: int, batches: int) -> Cost:
    """Return what reading the encoded images of one batch costs."""
    order = np.random.default_rng(seed).permutation(np.asarray(records, np.int64))
    numbers = np.resize(order, batches * batch)
    source = tf.data.Dataset.from_tensor_slices(numbers).batch(batch, drop_remainder=True)
    source = source.map(raw, num_parallel_calls=2, deterministic=True)
    return timed("read", lambda: _pull(source), per=batches)


def _pull(source: tf.data.Dataset) -> None:
    """Take all batches of a source, and do nothing with them."""
    for _ in source:
        pass


# ---------------------------------------------------------------- the step


def step_parts(trainer: Trainer, batch: Any, names: tuple[str, str]) -> Iterator[Cost]:
    """Yield the costs of the network, the head with its loss, the gradients and the update.

    `names` are the network's and the head's with the loss, for the notes.
    """
    deep = trainer.plan is not None and trainer.plan.train != "head"

    def forward() -> tf.Tensor:
        pixels = batch[0]
        pixels = normalise(pixels) if pixels.dtype == tf.uint8 else pixels
        return tf.reduce_sum(tf.cast(trainer.embedder(pixels, training=deep), tf.float32))

    def loss() -> tf.Tensor:
        return trainer.total(trainer.batch_terms(batch, training=True)[0])[0]

    def gradients() -> Any:
        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, trainer.trained())
        return [tf.reduce_sum(getattr(g, "values", g)) for g in found if g is not None]

    costs = [
        timed(part, compiled(function))
        for part, function in (
            ("forward", forward),
            ("head", loss),
            ("backward", gradients),
            ("step", lambda: trainer.train_step(batch)),
        )
    ]
    yield dataclasses.replace(costs[0], note=names[0])
    yield costs[1].less(costs[0], "head", names[1])
    yield costs[2].less(costs[1], "backward", "through all of them")
    yield costs[3].less(costs[2], "update", "optimizer, decay, running means")


def log_part(trainer: Trainer, steps: int) -> Cost:
    """Return what the journal's row and the copy of the state cost at an epoch's end, spread over `steps`."""
    with tempfile.TemporaryDirectory() as folder:
        writer = JournalWriter(Path(folder) / "profile.jsonl")
        row = EpochRecord(
            stage=1, stage_epoch=1, epoch=1, step=1, metrics={f"m{k}": 0.5 for k in range(12)}, seconds=1.0
        )

        def action() -> None:
            writer.append(row)
            checkpoint.capture(trainer, {})

        try:
            return timed("log", action, per=steps, note=f"an epoch's row and state, over {steps} steps")
        finally:
            writer.close()


# ---------------------------------------------------------------- all of it


def profile(
    experiment: Experiment, data: RunData, group: Group, number: int, batches: int, trace: Path
) -> Profile:
    """Measure one step of stage `number` (1-based): its parts on one device, whose batch is that device's
    part, then what the devices of `group` send each other and their step together.

    Writes a TensorBoard trace of a few steps below `trace`. Every process of the group calls this.
    """
    whole = experiment.plans()[number - 1]
    plan = dataclasses.replace(whole, batch_size=whole.batch_size // group.replicas)
    steps, seed = data.steps(whole), experiment.seed
    # One device by itself first: with the group's strategy in place each sum would wait for the others.
    with alone():
        trainer = several_devices.trainer_of(experiment, data, plan, Group(group.device))
        parts, gradients = on_one(experiment, data, whole, trainer, min(batches, steps))
    head, size = plan.loss.classifier(), sizes(trainer.embedder).activation_bytes(plan.batch_size)
    sums = [several_devices.reduce_part(group, gradients, head is not None and head.same_rows)]
    sums += [part for part in [several_devices.norms_part(group, trainer.embedder)] if part is not None]
    log = log_part(trainer, steps)
    if group.replicas > 1:
        trainer = several_devices.trainer_of(experiment, data, whole, group)
    step = several_devices.whole_step(trainer, data, seed, group) if group.replicas > 1 else None
    if step is not None:
        sums.append(step.less(total([*parts[DATA:], *sums]), "wait", WAITING))
    # Last: the profiler slows what it looks at.
    several_devices.traced(trainer, data, seed, group, trace)
    trained = sum(int(variable.shape.num_elements()) for variable in trainer.trained())
    found = Profile(
        (*parts, *sums, log),
        plan.batch_size,
        steps,
        steps * whole.batch_size,
        trained,
        size,
        trace,
        step,
        group.replicas,
    )
    return with_trace(found, plan.devices.steps_per_execution) if group.chief else found


def total(parts: Sequence[Cost]) -> Cost:
    """Return what `parts` cost together."""
    return Cost("", sum(part.wall for part in parts), sum(part.processor for part in parts))


def with_trace(found: Profile, steps: int) -> Profile:
    """Return `found` with what its trace says, which is written for viewers too; `steps` is those of a call."""
    path = xplane.newest(found.trace)
    if path is None:
        return found
    space = xplane.read(path)
    events = xplane.write_events(space, path.with_name("trace.json.gz"))
    operations = xplane.operations(space, several_devices.TRACED * steps)
    return dataclasses.replace(found, operations=tuple(operations), events=events)


def on_one(
    experiment: Experiment, data: RunData, whole: Plan, trainer: Trainer, batches: int
) -> tuple[list[Cost], list[Any]]:
    """Return the parts of a step of one device alone, on its part of a batch of `whole`, and its gradients."""
    plan, seed = trainer.plan, experiment.seed
    assert plan is not None
    count, head = whole.batch_size // plan.batch_size, plan.loss.classifier()
    batch = next(iter(data.training(whole, seed, 0, None, (0, count))))
    words = f"{plan.loss}" if head is None else f"{plan.loss}, {data.classes(plan):,} identities"
    parts = [
        *data_parts(data, whole, seed, batches, count),
        *step_parts(trainer, batch, (type(experiment.backbone).__name__, words)),
    ]
    return parts, several_devices.gradients_of(trainer, batch)
