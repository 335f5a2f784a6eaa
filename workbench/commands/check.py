"""`workbench check`: build every stage of a spec, run one step of each, and say what a run would be.

Nothing is recorded. Missing data is reported and replaced by a small synthetic stand-in, so that all
the rest is still checked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from workbench import catalog, rates
from workbench.errors import SpecError
from workbench.experiment import Experiment
from workbench.families import Places, Plan
from workbench.screen import duration
from workbench.tracking.store import find_store
from workbench.trunks import trunk_of

STEP_BATCH = 8  # images of the trial step; its time is scaled to the real batch


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE... [NAME...]")
@click.option("--set", "assignments", multiple=True, metavar="SETTING=VALUE", help="Override a setting.")
@click.option("--no-steps", is_flag=True, help="Check the settings only, without building networks.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def check(files: tuple[str, ...], assignments: tuple[str, ...], no_steps: bool, debug: bool) -> None:
    """Check the experiments of spec FILEs: settings, data, every stage and the switches between them."""
    where = catalog.places(find_store().root.parent)
    paths = [word for word in files if word.endswith(".py")]
    chosen = [word for word in files if word not in paths]
    if not paths:
        raise SpecError(
            f"{files[0]!r} is no spec file", expected="a Python file such as experiments/quickstart.py"
        )
    variants = catalog.choose([v for path in paths for v in catalog.load(path)], chosen)
    seen: set[Any] = set()
    for variant in variants:
        variant = catalog.override(variant, assignments)
        click.echo(f"{variant.study}/{variant.name}  id {variant.experiment.id}")
        if variant.question:
            click.echo(f"  {variant.question}")
        for line in report(variant.experiment, where, not no_steps, seen):
            click.echo("  " + line)


def report(experiment: Experiment, where: Places, steps: bool, seen: set[Any] | None = None) -> Iterator[str]:
    """Yield the lines of one experiment's check; raises `InputError` for what would stop a run.

    `seen` remembers the networks and stages tried before, so that equal ones are tried once.
    """
    from workbench.optimizers import equivalents
    from workbench.rates import refuse

    refuse(experiment.plans())
    stand_in = experiment
    for line, part in _missing(experiment, where):
        yield f"missing: {line}"
        stand_in = _replaced(stand_in, part)
    yield from rates.picture(experiment.plans())
    root = trunk_of(experiment)
    if root is not None:
        yield f"branch: epochs 1-{root.epochs} are the trunk {root.id}, trained once for all its branches"
    for line in dict.fromkeys(
        line
        for plan in experiment.plans()
        for line in equivalents(plan.weight_decay, plan.optimizer, plan.schedule)
    ):
        yield line
    if steps:
        key = (experiment.backbone, experiment.embedding, experiment.precision, experiment.stages)
        if seen is None or key not in seen:
            yield from _try(experiment, stand_in, where)
        if seen is not None:
            seen.add(key)


def _missing(experiment: Experiment, where: Places) -> Iterator[tuple[str, Any]]:
    stages = [stage.data for stage in experiment.stages if hasattr(stage.data, "missing")]
    for part in dict.fromkeys((experiment.data, *stages, *experiment.sets)):
        words = part.missing(where)
        if words:
            yield f"{type(part).__name__} {words}", part


def _replaced(experiment: Experiment, part: Any) -> Experiment:
    other = part.stand_in()
    stages = tuple(stage.but(data=other) if stage.data == part else stage for stage in experiment.stages)
    sets = tuple(other if pairs == part else pairs for pairs in experiment.sets)
    data = other if experiment.data == part else experiment.data
    return experiment.but(data=data, evaluate=sets, stages=stages)


def _try(experiment: Experiment, stand_in: Experiment, where: Places) -> Iterator[str]:
    """Build the network and walk the stages with one small step each."""
    from workbench import devices, model
    from workbench.layers import Trainer

    yield f"device {devices.prepare(experiment)}"
    small = stand_in.but(
        batch_size=min(stand_in.batch_size, STEP_BATCH),
        stages=tuple(_small(stage) for stage in stand_in.stages),
    )
    from workbench.material import Material

    data = Material(small, where, limit=1, meant=stand_in)
    for note in data.notes:
        yield f"note: {note}"
    trainer = Trainer(model.build(experiment))
    yield _network_line(experiment, trainer.embedder)
    total, unknown = 0.0, False
    for plan, whole in zip(small.plans(), experiment.plans()):
        seconds = _step(trainer, data, plan)
        images = _images(whole, data, stand_in, experiment)
        unknown = unknown or images is None
        guess = None if images is None else seconds / plan.batch_size * images * whole.epochs
        total += guess or 0.0
        yield _stage_line(whole, trainer, images, guess)
    if not unknown:
        yield f"estimate {duration(total)} of training on this device, evaluation aside"


def _network_line(experiment: Experiment, embedder: Any) -> str:
    from workbench.backbones.measure import sizes

    found, batch = sizes(embedder), experiment.batch_size
    return (
        f"network {type(experiment.backbone).__name__} + {type(experiment.embedding).__name__}: "
        f"{found.parameters:,} parameters, {found.multiply_adds / 1e6:,.1f} million multiply-adds an image, "
        f"activations {found.activation_bytes(batch) / 2**20:,.0f} MiB at batch {batch}, "
        f"output {' x '.join(str(size) for size in found.output)}"
    )


def _small(stage: Any) -> Any:
    size = stage.batch_size
    changes: dict[str, Any] = {"batch_size": min(size, STEP_BATCH)} if isinstance(size, int) else {}
    if stage.sampler is not None:
        changes["sampler"] = stage.sampler.quick()
    return stage.but(**changes)


def _step(trainer: Any, data: Any, plan: Plan) -> float:
    """Run two steps of a stage and return the seconds of the second, without tracing."""
    trainer.begin_stage(plan, 1, data.classes(plan), data.teacher_size(plan))
    batches = data.training(plan, 0, 0)
    step = trainer.make_train_function(force=True)
    seconds = 0.0
    for _ in range(2):
        iterator = iter(batches)
        began = time.monotonic()
        loss = float(step(iterator)["loss"])
        seconds = time.monotonic() - began
    if loss != loss:
        raise SpecError("its first step gives a loss of nan", where=f"stage {plan.number} ({plan.name})")
    return seconds


def _images(plan: Plan, data: Any, stand_in: Experiment, experiment: Experiment) -> int | None:
    """Return the images of an epoch: counted, or as the missing source states; None if nobody knows."""
    if stand_in.data == experiment.data:
        return len(data.splits[stand_in.data].train)
    return getattr(plan.data, "images", None)


def _stage_line(plan: Plan, trainer: Any, images: int | None, seconds: float | None) -> str:
    trained = sum(int(v.shape.num_elements()) for v in trainer.trained())
    steps = "steps unknown" if images is None else f"{images // plan.batch_size} steps"
    time_ = "" if seconds is None else f", about {duration(seconds)}"
    return (
        f"stage {plan.number} {plan.name}: {plan.epochs} epochs of {steps} of {plan.batch_size}, "
        f"{trained:,} trained parameters{time_}"
    )
