"""What a training step costs, part by part: the measurements behind `workbench profile`.

Parts of the data (read, decode, augment) and of the step (forward, head, backward, update) are found by
difference: the same work is timed with and without the part. Several devices add `reduce`, the sum of the
gradients. `log` is what recording costs, spread over the steps of an epoch.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from workbench import checkpoint, devices, model
from workbench.data import pipeline
from workbench.devices import across
from workbench.devices.group import Group, MirroredGroup
from workbench.experiment import Experiment
from workbench.families import Plan
from workbench.layers import Trainer
from workbench.material import Material
from workbench.tracking.journal import JournalWriter
from workbench.tracking.records import EpochRecord

REPEATS = 7  # measurements of each part, of which the quickest counts: other work only ever adds
TRACED = 3  # steps in the TensorBoard trace


@dataclasses.dataclass(frozen=True)
class Cost:
    """One part of a step: least time on the clock and of the processor (all its threads), seconds."""

    part: str
    wall: float
    processor: float
    note: str = ""

    def less(self, other: Cost, part: str, note: str = "") -> Cost:
        """Return what this costs more than `other`, never below zero, as a part of its own."""
        wall, processor = self.wall - other.wall, self.processor - other.processor
        return Cost(part, max(0.0, wall), max(0.0, processor), note)


def timed(part: str, action: Callable[[], Any], repeats: int = REPEATS, per: int = 1, note: str = "") -> Cost:
    """Return what `action` costs, divided by `per`; one call before, which traces, is not counted."""
    action()
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        action()
        walls.append((time.perf_counter() - wall) / per)
        processors.append((time.process_time() - processor) / per)
    return Cost(part, min(walls), min(processors), note)


# ---------------------------------------------------------------- data


def data_parts(data: Material, plan: Plan, seed: int, batches: int) -> Iterator[Cost]:
    """Yield the costs of reading, decoding and augmenting one batch."""
    images = data.splits[plan.data].images
    plain = passing(data, dataclasses.replace(plan, augment=()), seed, batches)
    if images.raw is None or images.decode is None:
        yield dataclasses.replace(
            plain, part="read", note="the source decodes while it reads, or holds pixels"
        )
        yield Cost("decode", 0.0, 0.0, "in `read`")
    else:
        read = reading(images.raw, data.splits[plan.data].train, plan.batch_size, seed, batches)
        yield read
        yield plain.less(read, "decode", "and resize, batch")
    if not plan.augment:
        yield Cost("augment", 0.0, 0.0, "none")
    else:
        names = ", ".join(type(one).__name__ for one in plan.augment)
        yield passing(data, plan, seed, batches).less(plain, "augment", names)


def passing(data: Material, plan: Plan, seed: int, batches: int) -> Cost:
    """Return what one batch costs when nothing but the pipeline works."""
    source = data.training(plan, seed, 0)

    def action() -> None:
        for _ in source.take(batches):
            pass

    return timed("pipeline", action, per=batches)


def reading(raw: Callable[[Any], Any], records: np.ndarray, batch: int, seed: int, batches: int) -> Cost:
    """Return what reading the encoded images of one batch costs."""
    order = np.random.default_rng(seed).permutation(np.asarray(records, np.int64))
    numbers = np.resize(order, batches * batch)
    source = tf.data.Dataset.from_tensor_slices(numbers).batch(batch, drop_remainder=True)
    source = source.map(raw, num_parallel_calls=2, deterministic=True)

    def action() -> None:
        for _ in source:
            pass

    return timed("read", action, per=batches)


# ---------------------------------------------------------------- the step


def step_parts(trainer: Trainer, batch: Any, names: tuple[str, str]) -> Iterator[Cost]:
    """Yield the costs of the network, the head with its loss, the gradients and the update.

    `names` are the network's and the head's with the loss, for the notes.
    """
    deep = trainer.plan is not None and trainer.plan.train != "head"

    def forward() -> tf.Tensor:
        pixels = batch[0]
        pixels = pipeline.normalise(pixels) if pixels.dtype == tf.uint8 else pixels
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


def compiled(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return `function` as a graph whose results are waited for."""
    graph = tf.function(function, autograph=False)

    def action() -> None:
        for value in tf.nest.flatten(graph()):
            value.numpy()

    return action


def reduce_part(group: Group, trainer: Trainer) -> Cost:
    """Return what summing the gradients over devices costs."""
    if not isinstance(group, MirroredGroup):
        return Cost("reduce", 0.0, 0.0, "one device")
    shapes = [variable.shape for variable in trainer.trained()]
    strategy = group.strategy

    def total() -> Any:
        sums = strategy.run(lambda: across.total_gradients([tf.ones(shape) for shape in shapes]))
        return [tf.reduce_sum(strategy.experimental_local_results(value)[0]) for value in sums]

    megabytes = sum(4 * int(shape.num_elements()) for shape in shapes) / 1e6
    return timed("reduce", compiled(total), note=f"{megabytes:,.2f} MB over {group.replicas} devices")


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


@dataclasses.dataclass(frozen=True)
class Profile:
    """The parts of one step, what they add up to, and what the network holds in memory."""

    parts: tuple[Cost, ...]
    batch: int
    steps: int  # of an epoch
    images: int  # of an epoch
    trained: int  # numbers that are trained
    activations: int  # bytes kept between forward and backward pass
    trace: Path

    @property
    def data(self) -> tuple[Cost, ...]:
        """The parts that run beside the step, on processor cores."""
        return self.parts[:3]

    @property
    def step(self) -> tuple[Cost, ...]:
        """The parts that follow each other on the device."""
        return self.parts[3:]


def profile(
    experiment: Experiment, data: Material, group: Group, number: int, batches: int, trace: Path
) -> Profile:
    """Measure one step of stage `number` (1-based) on one device, its batch being one device's part.

    Writes a TensorBoard trace of a few steps below `trace`.
    """
    from workbench.backbones.measure import sizes

    whole = experiment.plans()[number - 1]
    plan = dataclasses.replace(whole, batch_size=whole.batch_size // group.replicas)
    devices.seed(experiment.seed, 0)
    trainer = Trainer(model.build(experiment))
    steps = data.steps(whole)
    trainer.begin_stage(plan, steps, data.classes(plan), data.teacher_size(plan))
    batch = next(iter(data.training(plan, experiment.seed, 0)))
    head = plan.loss.classifier()
    words = f"{plan.loss}" if head is None else f"{plan.loss}, {data.classes(plan):,} identities"
    parts = (
        *data_parts(data, plan, experiment.seed, min(batches, steps)),
        *step_parts(trainer, batch, (type(experiment.backbone).__name__, words)),
        reduce_part(group, trainer),
        log_part(trainer, steps),
    )
    traced(trainer, data.training(plan, experiment.seed, 0), trace)
    return Profile(
        parts, plan.batch_size, steps, steps * whole.batch_size,
        sum(int(variable.shape.num_elements()) for variable in trainer.trained()),
        sizes(trainer.embedder).activation_bytes(plan.batch_size), trace,
    )  # fmt: skip


def traced(trainer: Trainer, batches: tf.data.Dataset, folder: Path) -> None:
    """Write what TensorFlow's profiler sees of a few steps, after one that is not traced."""
    step = trainer.make_train_function(force=True)
    rows = iter(batches.repeat())
    step(rows)
    tf.profiler.experimental.start(str(folder))
    try:
        for number in range(TRACED):
            with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
                float(step(rows)["loss"])
    finally:
        tf.profiler.experimental.stop()
