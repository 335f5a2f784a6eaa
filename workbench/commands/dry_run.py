"""Trial steps of `workbench check`: every network built, every stage stepped, every switch between two made.

With one file that happens at full size; a variant of which network, stages and switches have all been tried in
variants before it is left out. With several files networks are built at full size once each, and what is new is
tried once in all, in the small form that `--quick` trains: each family of networks (where none is built at full
size each kind of backbone and of embedding), each kind of stage and of switch. Kinds differ in more than numbers
(a scale, a weight, a rate): those are constants of one graph, and their limits have been checked when the spec was
made. A stage's data, augmentation and schedule are kinds of their own, and a switch is what is handed on: heads,
terms, the trained weights, the optimizer. What is new in a stage or a switch alone is tried on two convolutions
under the variant's embedding: its own network has been stepped before. So a library of studies is checked in minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from workbench import optimizers
from workbench.commands.dry_run_networks import Networks
from workbench.commands.dry_run_stages import family, handed, kind, kinds, stage_key
from workbench.distribute import determinism, setup
from workbench.distribute.settings import on_one
from workbench.errors import SpecError
from workbench.lazy import other_keras, tf
from workbench.models.backbones.count_ops import sizes
from workbench.models.backbones.small import LeakyCNN
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Places
from workbench.spec.plan import Plan
from workbench.spec.quick import quick_variant
from workbench.spec.variant import Variant
from workbench.train.progress import duration

STEP_BATCH = 8  # images of the trial step; its time is scaled to the real batch
SAMPLED_BATCH = 16  # of a stage with a sampler, as its small form fills it


class DryRun:
    """What has been tried in this call of `check`, and what is still to try."""

    def __init__(self, full: bool, where: Places, build: bool = True) -> None:
        self.full, self.where, self.build = full, where, build
        self.networks = Networks()
        self._measured: set[Any] = set()  # networks that were built at full size
        self._tried: set[Any] = set()
        self._sets: set[Any] = set()  # evaluation sets that were opened
        self._batches: dict[Any, Any] = {}  # the first batch of each kind of data, for all trials

    def lines(self, variant: Variant, stand_in: Experiment) -> Iterator[str]:
        """Try what is new in a variant, and yield what there is to say; raises `InputError`.

        `stand_in` is the experiment with small synthetic data in the place of what is missing.
        """
        experiment = variant.experiment
        small = shrunk(stand_in) if self.full else quick_variant(variant, self.where).experiment
        small = small.but(devices=on_one(small.devices))
        stepped = self._stepped(small)
        todo = self._untried(small)
        fresh = self.build and (experiment.backbone, experiment.embedding) not in self._measured
        if not (todo or fresh):
            yield "networks, stages and switches are those of variants above"
            return
        yield from self._network(experiment) if fresh else ()
        if todo:
            small = plain(small) if stepped else small
            yield from self._walk(experiment, stand_in, small, todo)

    def _network(self, experiment: Experiment) -> Iterator[str]:
        """Build the network at full size and say how large it is."""
        device = setup.prepare(experiment)
        if not self._measured:
            yield f"device {device}"
        yield network_line(experiment, self.networks.full(experiment))
        self._measured.add((experiment.backbone, experiment.embedding))

    def _stepped(self, small: Experiment) -> bool:
        """Tell whether a network of this kind has been stepped before."""
        return not self.full and self._networks(small) <= self._tried

    def _networks(self, small: Experiment) -> set[Any]:
        """Return what makes a small network another one; where none is built at full size, each kind of backbone."""
        own = {("network", family((small.backbone, small.embedding, small.precision)))}
        return own if self.build else own | {("backbone", kind(small.backbone), small.precision)}

    def _untried(self, small: Experiment) -> set[int]:
        """Return the numbers of the stages to step to try all that is new; marks it as tried."""
        plans = small.plans()
        network = (small.backbone, small.embedding, small.precision)
        if self.full:
            keys: list[set[Any]] = [{(network, stage_key(plan))} for plan in plans]
            for number, (one, other) in enumerate(zip(plans, plans[1:]), start=1):
                keys[number].add((network, stage_key(one), stage_key(other)))
        else:
            keys = [kinds(plan) for plan in plans]
            keys[0] |= self._networks(small)
            if not self.build:
                keys[0].add(("embedding", kind(small.embedding), small.precision))
            for number, (one, other) in enumerate(zip(plans, plans[1:]), start=1):
                keys[number].add(("switch", handed(one), handed(other)))
        todo = set()
        for number, wanted in enumerate(keys, start=1):
            if wanted - self._tried:
                todo.add(number)
            self._tried |= wanted
        return set(range(1, len(plans) + 1)) if self.full and todo else todo

    def _walk(
        self, experiment: Experiment, stand_in: Experiment, small: Experiment, todo: set[int]
    ) -> Iterator[str]:
        """Step the stages `todo` once each, each after the one before it."""
        from workbench.models.build import build_model
        from workbench.train.run_data import RunData
        from workbench.train.trainer import Trainer

        setup.prepare(small)
        data = RunData(self._without_known_sets(small), self.where, limit=1, meant=stand_in)
        for note in data.notes if self.full else ():
            yield f"note: {note}"
        trainer = Trainer(build_model(small) if self.full else self.networks.small(small))
        total, unknown = 0.0, False
        for plan, whole in list(zip(small.plans(), experiment.plans())):
            if plan.number not in todo:
                if plan.number + 1 in todo:
                    trainer.begin_stage(plan, 1, data.classes(plan), data.teacher_size(plan))
                continue
            seconds = step(trainer, data, plan) if self.full else self._eager_step(trainer, data, plan)
            images = images_of(whole, data, stand_in, experiment)
            unknown = unknown or images is None
            guess = None if images is None else seconds / plan.batch_size * images * whole.epochs
            total += guess or 0.0
            yield stage_line(whole, trainer if self.full else None, images, guess if self.full else None)
        if self.full and not unknown:
            yield f"estimate {duration(total)} of training on this device, evaluation aside"

    def _eager_step(self, trainer: Any, data: Any, plan: Plan) -> float:
        """Run one step of a stage without a graph, which takes five times as long to trace; no time is measured."""
        trainer.begin_stage(plan, 1, data.classes(plan), data.teacher_size(plan))
        trainer.run_eagerly = True
        images = (plan.data, plan.augment, plan.sampler, plan.batch_size, data.size, data.held_out)
        if images not in self._batches:
            self._batches[images] = next(iter(data.training(plan, 0, 0)))
        refuse_nan(float(trainer.train_step(self._batches[images])["loss"]), plan)
        return 0.0

    def _without_known_sets(self, small: Experiment) -> Experiment:
        """Return a small form without the sets that were opened before, unless they hold people out."""
        if self.full:
            return small
        size = small.backbone.image_size
        keys = {pairs: (pairs, small.data, size) for pairs in small.sets}
        kept = tuple(p for p in small.sets if keys[p] not in self._sets or getattr(p, "identities", None))
        self._sets |= set(keys.values())
        return small.but(evaluate=kept)


def plain(small: Experiment) -> Experiment:
    """Return a small form on the least network that gives maps; as it is where a stage names layers of its own."""
    if any(isinstance(plan.train, tuple) for plan in small.plans()):
        return small
    return small.but(backbone=LeakyCNN(image_size=small.backbone.image_size, filters=(8, 8)))


def shrunk(stand_in: Experiment) -> Experiment:
    """Return an experiment whose batches are small, its network as it is."""
    return stand_in.but(
        batch_size=min(stand_in.batch_size, STEP_BATCH), stages=tuple(_small(s) for s in stand_in.stages)
    )


def _small(stage: Any) -> Any:
    size = stage.batch_size
    changes: dict[str, Any] = {"batch_size": min(size, STEP_BATCH)} if isinstance(size, int) else {}
    if stage.sampler is not None:
        small = stage.sampler.quick()
        changes["sampler"] = small
        if small != stage.sampler:
            changes["batch_size"] = SAMPLED_BATCH
    return stage.but(**changes)


def network_line(experiment: Experiment, embedder: Any) -> str:
    """Say how large a network is."""
    found, batch = sizes(embedder), experiment.batch_size
    return (
        f"network {type(experiment.backbone).__name__} + {type(experiment.embedding).__name__}: "
        f"{found.parameters:,} parameters, {found.multiply_adds / 1e6:,.1f} million multiply-adds an image, "
        f"activations {found.activation_bytes(batch) / 2**20:,.0f} MiB at batch {batch}, "
        f"output {' x '.join(str(size) for size in found.output)}"
    )


def step(trainer: Any, data: Any, plan: Plan) -> float:
    """Run two steps of a stage and return the seconds of the second, without tracing."""
    trainer.begin_stage(plan, 1, data.classes(plan), data.teacher_size(plan))
    batches = data.training(plan, 0, 0)
    one = trainer.make_train_function(force=True)
    seconds = 0.0
    for _ in range(2):
        iterator = iter(batches)
        began = time.monotonic()
        try:
            loss = float(one(iterator)["loss"])
        except (tf.errors.OpError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise determinism.refused(error) or other_keras(error) or error from error
        refuse_nan(loss, plan)
        seconds = time.monotonic() - began
    return seconds


def refuse_nan(loss: float, plan: Plan) -> None:
    """Refuse a stage of which the first step already fails."""
    if loss != loss:
        raise SpecError("its first step gives a loss of nan", where=f"stage {plan.number} ({plan.name})")


def images_of(plan: Plan, data: Any, stand_in: Experiment, experiment: Experiment) -> int | None:
    """Return the images of an epoch: counted, or as the missing source states; None if nobody knows."""
    if stand_in.data == experiment.data and stand_in.data in data.splits:
        return len(data.splits[stand_in.data].train)
    return getattr(plan.data, "images", None)


def memory(plan: Plan, trainer: Any) -> float:
    """Return about how many bytes a step of the stage takes on one device, at its own batch size.

    Weights, the gradients of those trained and the optimizer's state are counted; to them come what the layers put
    out for the batch and 12 bytes a logit (itself, its exponential, its gradient). The derivation is in docs/scale.md.
    """
    held = [*trainer.variables, *trainer.trained(), *optimizers.state(trainer.optimizer)]
    width = 4 if trainer.embedder.compute_dtype == "float32" else 2
    head = plan.loss.classifier()
    columns = 0.0 if head is None else trainer.classes * getattr(head, "rate", 1.0)
    logits = 12.0 * plan.batch_size * columns
    outputs = sizes(trainer.embedder).activation_bytes(plan.batch_size, width)
    return float(sum(v.dtype.size * v.shape.num_elements() for v in held) + outputs + logits)


def stage_line(plan: Plan, trainer: Any | None, images: int | None, seconds: float | None) -> str:
    """Say what a stage is: its length, its steps, and where they are known its weights and time."""
    steps = "steps unknown" if images is None else f"{images // plan.batch_size} steps"
    weights = ""
    if trainer is not None:
        weights = f", {sum(int(v.shape.num_elements()) for v in trainer.trained()):,} trained parameters"
        weights += f", about {memory(plan, trainer) / 2**20:,.0f} MiB of memory"
    time_ = "" if seconds is None else f", about {duration(seconds)}"
    return f"stage {plan.number} {plan.name}: {plan.epochs} epochs of {steps} of {plan.batch_size}{weights}{time_}"
