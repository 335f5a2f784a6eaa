"""`workbench profile`: what one training step costs, part by part, and a trace for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, JSON, PATH, SET
from workbench.commands.run import wanted
from workbench.errors import InputError
from workbench.spec.datasets import default_places
from workbench.spec.quick import QUICK_STEPS
from workbench.spec.variant import Variant
from workbench.tracking.store import Store, find_store
from workbench.train.progress import duration

if TYPE_CHECKING:
    from workbench.profile.timer import Cost, Profile

LARGEST = 8  # operations shown


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE [NAME]", shell_complete=completers.specs)
@SET
@click.option("--stage", type=click.IntRange(1), default=1, show_default=True, help="The stage to measure.")
@click.option(
    "--batches", type=click.IntRange(1), default=8, show_default=True, help="Batches read at a time."
)
@click.option("--quick", is_flag=True, help="The small form: small data, small input.")
@click.option("--out", type=PATH, help="Where the trace goes; by default mlruns/profile.")
@JSON
@DEBUG
def profile(
    files: tuple[str, ...],
    assignments: tuple[str, ...],
    stage: int,
    batches: int,
    quick: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure one training step of a spec: reading, decoding, augmenting, network, head, update, sums, log.

    Nothing is recorded. With several devices in the spec the parts are those of one device; what the devices
    send each other, and their step together, come on top. Start MultiWorker and Horovod as for a run: the
    same command on each machine, or below horovodrun; the chief prints. One of them alone is measured with
    --set "devices=OneDevice()".
    """
    place = find_store()
    variants = wanted(files, assignments, None, quick, place)
    if len(variants) != 1:
        raise InputError(
            f"{len(variants)} variants", where=files[0], expected="one", do="name it after the file"
        )
    found, chief = measured(variants[0], place, stage, batches, out or place.root / "profile")
    if not chief:
        click.echo("measured with the chief, which prints", err=True)
        return
    if as_json:
        click.echo(json.dumps(as_values(found)))
        return
    for line in lines(found):
        click.echo(line)


def measured(variant: Variant, store: Store, stage: int, batches: int, trace: Path) -> tuple[Profile, bool]:
    """Return the profile of a variant's stage, and whether this process is the chief of its group."""
    from workbench.distribute import strategy
    from workbench.profile import step as profiling
    from workbench.train.run_data import RunData

    experiment = variant.experiment
    if stage > len(experiment.plans()):
        raise InputError(
            f"stage {stage} of {len(experiment.plans())}",
            where="--stage",
            do="choose one of the spec's stages",
        )
    group, _ = strategy.join(experiment, strategy.Launch("profile", False, variant.quick))
    steps = QUICK_STEPS if variant.quick else None
    data = RunData(experiment, default_places(store.root.parent), steps)
    return profiling.profile(experiment, data, group, stage, batches, trace), group.chief


def as_values(found: Profile) -> dict[str, Any]:
    """Return a profile as plain JSON values, seconds and bytes."""
    parts = {
        cost.part: {"wall": cost.wall, "processor": cost.processor, "note": cost.note} for cost in found.parts
    }
    return {
        "batch": found.batch,
        "steps": found.steps,
        "images": found.images,
        "parts": parts,
        "step": sum(cost.wall for cost in found.step),
        "data": sum(cost.processor for cost in found.data),
        "devices": found.devices,
        "together": found.together.wall if found.together else None,
        "operations": {one.kind: {"times": one.times, "seconds": one.seconds} for one in found.operations},
        "events": str(found.events) if found.events else None,
        "trace": str(found.trace),
        "trained": found.trained,
        "activations": found.activations,
    }


def lines(found: Profile) -> list[str]:
    """Return the table, what follows from it, and where the trace is."""
    rows = [f"{'part':<10}{'ms a step':>11}{'share':>8}{'core ms':>10}  what"]
    for name, group in (("data", found.data), ("step", found.step)):
        whole = sum(cost.wall for cost in group)
        rows += [_row(cost, whole) for cost in group]
        total = sum(cost.processor for cost in group)
        rows.append(f"{name + ' in all':<10}{1000 * whole:>11.2f}{'':>8}{1000 * total:>10.2f}")
    return [*rows, *_operations(found), *_conclusions(found), *_places(found)]


def _operations(found: Profile) -> list[str]:
    """Return the largest operations of a step."""
    title = f"{'operation':<38}{'times a step':>12}{'ms a step':>11}  in all threads, from the trace"
    rows = [
        f"{one.kind[:37]:<38}{one.times:>12.1f}{1000 * one.seconds:>11.2f}"
        for one in found.operations[:LARGEST]
    ]
    return [title, *rows] if rows else []


def _conclusions(found: Profile) -> list[str]:
    """Return what follows from the parts: rates, cores, time of an epoch, memory."""
    several, data = found.together, sum(cost.processor for cost in found.data)
    step = several.wall if several is not None else sum(cost.wall for cost in found.step)
    epoch = duration(found.steps * max(step, sum(cost.wall for cost in found.data)))
    whole, weights = found.batch * found.devices, 4 * found.trained
    who = (
        "one device" if several is None else f"{found.devices} devices together, {1000 * step:.2f} ms a step"
    )
    return [
        f"{who}: {whole} images a step, {whole / step:,.0f} images a second in the step alone",
        f"data: {1000 * data / found.batch:.3f} ms of one core an image, so {data / step:.2f} cores "
        f"{'a device ' if several is not None else ''}keep up with the step",
        f"epoch: {found.steps:,} steps, {epoch} where data and step overlap fully and share nothing",
        f"memory: weights {weights / 1e6:,.2f} MB, as much again for gradients and for each slot of the optimizer; "
        f"activations {found.activations / 1e6:,.1f} MB",
    ]


def _places(found: Profile) -> list[str]:
    """Return where the trace is and what opens it."""
    rows = []
    if found.events is not None:
        rows = [f"trace: {found.events} (open it in Perfetto or chrome://tracing)"]
    board = f"tensorboard --logdir {found.trace}"
    return [*rows, f"trace: {board} (tab Profile; needs tensorboard-plugin-profile and a network)"]


def _row(cost: Cost, whole: float) -> str:
    share = cost.wall / whole if whole else 0.0
    return f"{cost.part:<10}{1000 * cost.wall:>11.2f}{share:>8.0%}{1000 * cost.processor:>10.2f}  {cost.note}".rstrip()
