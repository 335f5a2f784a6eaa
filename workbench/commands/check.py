"""`workbench check`: build every stage of a spec, run one step of each, and say what a run would be.

Nothing is recorded. Missing data is reported and replaced by a small synthetic stand-in, so that all
the rest is still checked. `workbench.commands.dry_run` tells what is tried, and at which size.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, SET
from workbench.commands.dry_run import DryRun
from workbench.optimizers import equivalents, plateau, schedule_preview
from workbench.spec.branch import trunk_of
from workbench.spec.custom_parts import custom_part_lines
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Places, Source
from workbench.spec.load import choose_variants, files_and_names
from workbench.spec.overrides import override_settings
from workbench.spec.quick import HELD_OUT, with_hold_out
from workbench.spec.recorded_metrics import refuse_select
from workbench.spec.variant import Variant
from workbench.sweep.load_sweeps import variants_or_bases
from workbench.tracking.store import Store, find_store

ALWAYS = ("branch:", "start:", "device", "network ", "stage ", "estimate ")  # said of every variant


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE... [NAME...]", shell_complete=completers.specs
)
@SET
@click.option("--no-steps", is_flag=True, help="Check the settings only, without building networks.")
@click.option("--small", is_flag=True, help="Try small forms only; build no network at full size.")
@DEBUG
def check(files: tuple[str, ...], assignments: tuple[str, ...], no_steps: bool, small: bool) -> None:
    """Check the experiments of spec FILEs: settings, data, every stage and the switches between them.

    With several files each network is built once, and each stage and switch is tried once, in a small form. What
    was said of a variant is not said again of the others of its study. Of a file of sweeps alone their bases are checked.
    """
    store = find_store()
    where = default_places(store.root.parent)
    paths, chosen = files_and_names(files)
    variants = choose_variants([v for path in paths for v in variants_or_bases(path)], chosen)
    trials = None if no_steps else DryRun(len(paths) == 1 and not small, where, build=not small)
    said: dict[str, set[str]] = {}  # of the variants of each study
    for variant in variants:
        variant = override_settings(variant, assignments)
        click.echo(f"{variant.study}/{variant.name}  id {variant.experiment.id}")
        question = [variant.question] if variant.question else []
        found = chain(question, blocks(variant, store, trials))
        for block in news(found, said.setdefault(variant.study, set())):
            click.echo(textwrap.indent(block, "  "))


def blocks(variant: Variant, store: Store, trials: DryRun | None) -> Iterator[str]:
    """Yield all that is said of one experiment; `store` is where weights of other runs are looked for."""
    yield from report(variant, default_places(store.root.parent), trials)
    yield from start_lines(variant.experiment, store, trials)


def news(blocks: Iterable[str], said: set[str]) -> Iterator[str]:
    """Yield what has not been `said` of another variant, and that something was left out; `said` grows."""
    repeated = False
    for block in blocks:
        if block in said and not block.startswith(ALWAYS):
            repeated = True
        else:
            yield block
        said.add(block)
    if repeated:
        yield "all else as above"


def report(variant: Variant, where: Places, trials: DryRun | None) -> Iterator[str]:
    """Yield the lines of one experiment's check, a picture as one; raises `InputError` for what would stop a run.

    `trials` builds networks and runs steps; None checks the settings only.
    """
    experiment = variant.experiment
    schedule_preview.refuse(experiment.plans())
    plateau.refuse_unmeasured(experiment)
    refuse_select(experiment)
    yield from custom_part_lines(experiment)
    yield from split(experiment)
    missing = {part: words for part in experiment.read if (words := part.missing(where))}
    yield from (f"missing: {type(part).__name__} {words}" for part, words in missing.items())
    stand_in = _replaced(experiment, list(missing))
    yield "\n".join(schedule_preview.picture(experiment.plans()))
    root = trunk_of(experiment)
    if root is not None:
        yield f"branch: epochs 1-{root.epochs} are the trunk {root.id}, trained once for all its branches"
    yield from dict.fromkeys(
        line
        for plan in experiment.plans()
        for line in equivalents(plan.weight_decay, plan.optimizer, plan.schedule)
    )
    if trials is not None:
        yield from trials.lines(variant, stand_in)


def start_lines(experiment: Experiment, store: Store, trials: DryRun | None) -> Iterator[str]:
    """Yield whether the starting weights are there and fit the network; raises `InputError` where they do not."""
    start = experiment.start
    if start is None:
        return
    words = start.missing(store)
    if words:
        yield f"missing: {words}"
        return
    start.look(store)
    if trials is not None and trials.build:
        yield from (f"start: {note}" for note in start.fill(trials.networks.full(experiment), store))
        yield "start: its weights fit this network"


def split(experiment: Experiment) -> Iterator[str]:
    """Yield how batches are split among devices; raises `InputError` where they do not divide."""
    from workbench.distribute import validate

    replicas = validate.expected_replicas(experiment.devices)
    validate.refuse(experiment, replicas)
    if replicas is not None and replicas > 1:
        yield f"devices {validate.split_line(experiment, replicas)}; the trial steps use one device"


def _replaced(experiment: Experiment, parts: list[Any]) -> Experiment:
    """Return the experiment with stand-ins for `parts`, which are not on this machine."""
    if experiment.validation is not None and any(isinstance(part, Source) for part in parts):
        experiment = with_hold_out(experiment)  # stand-ins of two sources may show other identities
        parts = [p.but(hold_out=HELD_OUT) if isinstance(p, Source) else p for p in parts]
    others = {part: part.stand_in() for part in parts}
    sets = tuple(others.get(pairs, pairs) for pairs in experiment.sets)
    return experiment.with_sources(lambda source: others.get(source, source), evaluate=sets)
