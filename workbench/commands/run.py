"""`workbench run`: train the experiments of spec files, here, in processes side by side, or on a cluster.

A single run works in this process. Several go to the queue (`run_many.py`), each in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import click

from workbench.commands import completers
from workbench.commands.common_options import SET, TRY_QUICK, debug_option, json_option, say, store_option
from workbench.commands.run_many import on_cluster, print_json, several
from workbench.distribute.roles import refuse_several
from workbench.errors import InputError, SpecError
from workbench.jobs.placement import Place, places
from workbench.jobs.task import Task, planned
from workbench.names import metric_that_counts
from workbench.optimizers import plateau, schedule_preview
from workbench.security.visible_text import surviving_lost_streams
from workbench.spec.branch import kept_epochs
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Places, Source
from workbench.spec.load import choose_variants, files_and_names, load_variants
from workbench.spec.overrides import override_settings, with_seed
from workbench.spec.quick import quick_variant
from workbench.spec.recorded_metrics import refuse_select
from workbench.spec.variant import Variant
from workbench.tracking.ping import require_reachable
from workbench.tracking.store import Store, find_store
from workbench.train.request import EpochCallback


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE... [NAME...]", shell_complete=completers.specs
)
@SET
@click.option("--seed", type=int, help="Seed of weights, shuffling and augmentation.")
@click.option("--seeds", metavar="0,1,2", help="Run every variant once for each seed; 0-2 means 0,1,2.")
@TRY_QUICK
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with unfinished runs of the same settings and seed; leave finished ones alone.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Train N at once, a process and a device each."
)
@click.option(
    "--devices", metavar="0,1", help="The devices to use: GPUs, or processor cores where there is no GPU."
)
@click.option(
    "--ray", metavar="HOST:PORT", help="Train on the Ray cluster with this address instead of here."
)
@store_option("Where to record: a folder or an MLflow server.")
@click.option(
    "--forecast",
    metavar="TEXT",
    help="Forecast at every epoch, and stop hopeless runs: 'lfw beat=0.99 stop=0.05 grace=10'.",
)
@json_option("one JSON line a run on standard output")
@debug_option()
@click.option("--run-name", hidden=True, help="Name of the run's record (given to child processes).")
@surviving_lost_streams()
def run(
    files: tuple[str, ...],
    assignments: tuple[str, ...],
    seed: int | None,
    seeds: str | None,
    quick: bool,
    resume: bool,
    jobs: int | None,
    devices: str | None,
    ray: str | None,
    store: str | None,
    forecast: str | None,
    as_json: bool,
    debug: bool,
    run_name: str | None,
) -> int:
    """Train the experiments of spec FILEs (all, or only the variants of the given NAMEs).

    Every epoch is recorded in the journal, in MLflow and in TensorBoard. Exit status: 0 done, 1 a run
    failed, 2 bad input, 75 stopped but resumable, 130 stopped by Ctrl-C.
    """
    place = find_store(store)
    place.require_writable()
    variants = wanted(files, assignments, _seeds(seed, seeds), quick, place)
    if run_name is None:  # a run that goes on elsewhere does not depend on the server
        require_reachable(place)
    where = _where(jobs, devices, ray)
    tasks = [replace(task, forecast=forecast) for task in _tasks(variants, place, resume, run_name)]
    if not tasks:
        return 0
    for task in tasks:
        refuse_start(task, place)
    refuse_several([task.variant.experiment.devices for task in tasks])
    watched(tasks[0], store)  # a wrong --forecast is refused before anything runs
    if ray:
        return on_cluster(tasks, place, ray, jobs, address=store, as_json=as_json, debug=debug)
    if len(tasks) == 1:
        for spot in where[:1]:
            os.environ.update(spot.environment())
            spot.bind()
        return run_here(tasks[0], place, as_json)
    return several(tasks, place, where, address=store, as_json=as_json, debug=debug)


def _where(jobs: int | None, devices: str | None, ray: str | None) -> list[Place]:
    """Return the places of this machine that were asked for; none where Ray places, or nobody asked."""
    if ray and devices:
        raise InputError(
            "both --ray and --devices", expected="one of them", do="Ray gives each run what its spec needs"
        )
    return places(jobs, devices) if (jobs or devices) and not ray else []


class Announcing(EpochCallback, Protocol):
    """A watcher that says at the start what it may do, and on what evidence."""

    def opening(self) -> str:
        """Return that line."""


def watched(task: Task, store: str | None) -> Announcing | None:
    """Return what looks on at each epoch, where the user asked for it; the program hands its maker in."""
    if not task.forecast:
        return None
    maker = click.get_current_context().find_root().obj
    settings = task.variant.experiment.parameters()  # runs on other data say nothing about this one
    found: Announcing = maker(task.forecast, task.variant.study, store, settings)
    return found


def wanted(
    files: tuple[str, ...], assignments: tuple[str, ...], seeds: list[int] | None, quick: bool, store: Store
) -> list[Variant]:
    """Return the variants that the words of the command line mean, overrides applied."""
    paths, chosen = files_and_names(files)
    everything = [variant for path in paths for variant in load_variants(path)]
    variants = choose_variants(everything, chosen)
    if seeds is not None:
        variants = [with_seed(variant, seed) for variant in variants for seed in seeds]
    variants = [override_settings(variant, assignments) for variant in variants]
    where = default_places(store.root.parent)
    for variant in variants:
        refuse_settings(variant.experiment)
    if quick:
        variants = [quick_variant(variant, where) for variant in variants]
    for variant in variants:
        refuse_missing(variant, where)
    return [_keeping(variant, everything, assignments, where) for variant in variants]


def refuse_settings(experiment: Experiment) -> None:
    """Refuse what no run could be: a schedule that cannot end so, or metrics that nothing records."""
    schedule_preview.refuse(*experiment.judged())
    plateau.refuse_unmeasured(experiment)
    refuse_select(experiment)


def _keeping(variant: Variant, others: list[Variant], assignments: tuple[str, ...], where: Places) -> Variant:
    """Return the variant with the states kept that branches of its study will grow from."""
    experiment, found = variant.experiment, set(variant.experiment.safety.keep)
    for other in others:
        if other.experiment.trunk is None:
            continue
        with contextlib.suppress(SpecError):  # an override that does not fit it: it is not run in this way
            same = override_settings(with_seed(other, experiment.seed), assignments)
            same = quick_variant(same, where) if variant.quick else same
            found.update(kept_epochs(experiment, [same.experiment]))
    kept = experiment.but(safety=experiment.safety.but(keep=tuple(sorted(found))))
    return replace(variant, experiment=kept)


def refuse_missing(variant: Variant, where: Places) -> None:
    """Refuse a run whose data is not on this machine and cannot be fetched."""
    for part in variant.experiment.read:
        words = part.fetch(where) if isinstance(part, Source) else part.missing(where)
        if words:
            raise InputError(
                words,
                where=f"{variant.path or variant.study} ({variant.name})",
                do="or try the code with --quick",
            )


def refuse_start(task: Task, store: Store) -> None:
    """Refuse a new run whose starting weights are not there; one that goes on needs them no more."""
    start = task.variant.experiment.start
    words = start.missing(store) if start is not None and not task.resume else None
    if words:
        where = f"{task.variant.path} ({task.variant.name})"
        raise InputError(words, where=where, do="make it first, or name the variants to run")


def _seeds(seed: int | None, seeds: str | None) -> list[int] | None:
    if seed is not None and seeds is not None:
        raise InputError("both --seed and --seeds", do="give one of them")
    if seed is not None:
        return [seed]
    if seeds is None:
        return None
    try:
        return [seed for word in seeds.split(",") for seed in _range(word)]
    except ValueError as error:
        raise InputError(
            f"{seeds!r} is not a list of seeds", where="--seeds", expected="whole numbers: 0,1,2 or 0-2"
        ) from error


def _range(word: str) -> list[int]:
    """Return the seeds that one word means: a number, or all from one number to another."""
    first, dash, last = word.strip().partition("-")
    return list(range(int(first), int(last) + 1)) if dash and first else [int(word)]


def _tasks(variants: list[Variant], store: Store, resume: bool, name: str | None) -> list[Task]:
    if name:
        return [Task(variant, name, store.journal(name).exists()) for variant in variants]
    return planned(variants, store, resume, say)


# ---------------------------------------------------------------- here


def run_here(task: Task, store: Store, as_json: bool) -> int:
    """Run in this process; retry as the experiment's `safety.retries` allows."""
    from workbench.jobs.in_process import train_task

    stream = sys.stderr if as_json else sys.stdout
    watcher = watched(task, store.address)
    if watcher is not None:
        click.echo(watcher.opening(), file=stream)
    try:
        result = train_task(task, store, stream, watcher, say)
        click.echo(what_next(task.variant, result.best), file=stream)
        return 0
    finally:
        if as_json:
            print_json(store, [task.run])


def what_next(variant: Variant, best: Mapping[str, Mapping[str, float]]) -> str:
    """Return what a run ends with: its best value, and the commands that look at it and compare it."""
    counted = metric_that_counts(best, (variant.experiment.selector(),))
    found = best.get(counted or "")
    lines = [f"best {counted} {found['value']:.4f} at epoch {found['epoch']}"] if found else []
    title = f"{variant.study}/{variant.name}:{variant.experiment.seed}"
    if variant.quick:
        return "\n".join([*lines, "a --quick run only walks the code: leave --quick out to train"])
    words = [("show", title), ("plot", variant.study), ("table", variant.study), ("ui", "")]
    steps = [" ".join(["workbench", *map(shlex.quote, filter(None, pair))]) for pair in words]
    return "\n".join([*lines, "next: " + "; ".join(steps)])
