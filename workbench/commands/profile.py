"""`workbench profile`: what one training step costs, part by part, and a trace for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench import catalog
from workbench.commands.run import wanted
from workbench.errors import InputError
from workbench.screen import duration
from workbench.tracking.store import Store, find_store

if TYPE_CHECKING:
    from workbench.profiling import Cost, Profile


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE [NAME]")
@click.option("--set", "assignments", multiple=True, metavar="SETTING=VALUE", help="Override a setting.")
@click.option("--stage", type=click.IntRange(1), default=1, show_default=True, help="The stage to measure.")
@click.option(
    "--batches", type=click.IntRange(1), default=8, show_default=True, help="Batches read at a time."
)
@click.option("--quick", is_flag=True, help="The small form: small data, small input.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where the trace goes; by default mlruns/profile."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def profile(
    files: tuple[str, ...], assignments: tuple[str, ...], stage: int, batches: int, quick: bool,
    out: Path | None, as_json: bool, debug: bool,
) -> None:  # fmt: skip
    """Measure one training step of a spec: reading, decoding, augmenting, network, head, update, log.

    Nothing is recorded. With several devices in the spec, one device's part is measured, and the sum of
    the gradients over the devices of this machine.
    """
    place = find_store()
    variants = wanted(files, assignments, None, quick, place)
    if len(variants) != 1:
        raise InputError(
            f"{len(variants)} variants", where=files[0], expected="one", do="name it after the file"
        )
    found = measured(variants[0], place, stage, batches, out or place.root / "profile")
    if as_json:
        click.echo(json.dumps(as_values(found)))
        return
    for line in lines(found):
        click.echo(line)


def measured(variant: catalog.Variant, store: Store, stage: int, batches: int, trace: Path) -> Profile:
    """Return the profile of a variant's stage."""
    from workbench import profiling
    from workbench.devices import joining, roles
    from workbench.families import OneDevice
    from workbench.material import Material

    experiment = variant.experiment
    if stage > len(experiment.plans()):
        raise InputError(
            f"stage {stage} of {len(experiment.plans())}",
            where="--stage",
            do="choose one of the spec's stages",
        )
    if roles.in_processes(experiment.devices):  # one machine's part of it
        experiment = experiment.but(devices=OneDevice())
    group, _ = joining.join(experiment, joining.Meant("profile", False, variant.quick))
    steps = catalog.QUICK_STEPS if variant.quick else None
    data = Material(experiment, catalog.places(store.root.parent), steps)
    return profiling.profile(experiment, data, group, stage, batches, trace)


def as_values(found: Profile) -> dict[str, Any]:
    """Return a profile as plain JSON values, seconds and bytes."""
    parts = {
        cost.part: {"wall": cost.wall, "processor": cost.processor, "note": cost.note} for cost in found.parts
    }
    return {
        "batch": found.batch, "steps": found.steps, "images": found.images, "parts": parts,
        "step": sum(cost.wall for cost in found.step), "data": sum(cost.processor for cost in found.data),
        "trained": found.trained, "activations": found.activations, "trace": str(found.trace),
    }  # fmt: skip


def lines(found: Profile) -> list[str]:
    """Return the table, what follows from it, and where the trace is."""
    step, data = sum(c.wall for c in found.step), sum(c.processor for c in found.data)
    rows = [f"{'part':<10}{'ms a step':>11}{'share':>8}{'core ms':>10}  what"]
    for group, name, whole in (
        (found.data, "data", sum(c.wall for c in found.data)),
        (found.step, "step", step),
    ):
        rows += [_row(cost, whole) for cost in group]
        total = sum(cost.processor for cost in group)
        rows.append(f"{name + ' in all':<10}{1000 * whole:>11.2f}{'':>8}{1000 * total:>10.2f}")
    weights = 4 * found.trained
    return [
        *rows,
        f"one device: {found.batch} images a step, {found.batch / step:,.0f} images a second in the step alone",
        f"data: {1000 * data / found.batch:.3f} ms of one core an image, so {data / step:.2f} cores keep up with the step",
        f"epoch: {found.steps:,} steps, {duration(found.steps * max(step, sum(c.wall for c in found.data)))} "
        "where data and step overlap fully and share nothing",
        f"memory: weights {weights / 1e6:,.2f} MB, as much again for gradients and for each slot of the optimizer; "
        f"activations {found.activations / 1e6:,.1f} MB",
        f"trace: tensorboard --logdir {found.trace} (tab Profile; needs tensorboard-plugin-profile)",
    ]


def _row(cost: Cost, whole: float) -> str:
    share = cost.wall / whole if whole else 0.0
    return f"{cost.part:<10}{1000 * cost.wall:>11.2f}{share:>8.0%}{1000 * cost.processor:>10.2f}  {cost.note}".rstrip()
