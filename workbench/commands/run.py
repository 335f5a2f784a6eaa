"""`workbench run`: train the experiments of spec files, one after another, each in its own process.

A single run works in this process. Several go to children, which are told to stop gently when their
parent dies, so that one failure ends nothing but itself.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import click

from workbench import catalog, rates
from workbench.errors import InputError, RunFailed, SpecError
from workbench.families import PairSet, Places, Source
from workbench.names import TAG_FORECAST
from workbench.orders import Order, Watcher
from workbench.tracking.records import new_run_name
from workbench.tracking.runs import unfinished
from workbench.tracking.store import Store, find_store


@dataclass(frozen=True)
class Task:
    """One training to do: a variant and the name of its run, new or to be resumed."""

    variant: catalog.Variant
    run: str
    resume: bool
    forecast: str | None = None


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE... [NAME...]")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="SETTING=VALUE",
    help="Override a setting, by its dotted name.",
)
@click.option("--seed", type=int, help="Seed of weights, shuffling and augmentation.")
@click.option("--seeds", metavar="0,1,2", help="Run every variant once for each seed.")
@click.option(
    "--quick", is_flag=True, help="Walk the same code in minutes: small data, small input, few steps."
)
@click.option("--resume", is_flag=True, help="Go on with the unfinished run of the same settings and seed.")
@click.option("--store", metavar="URI", help="Where to record: a folder or an MLflow server.")
@click.option(
    "--forecast",
    metavar="TEXT",
    help="Forecast at every epoch, and stop hopeless runs: 'lfw beat=0.99 stop=0.05 grace=10'.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a run on standard output.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("--run-name", hidden=True, help="Name of the run's record (given to child processes).")
def run(
    files: tuple[str, ...], assignments: tuple[str, ...], seed: int | None, seeds: str | None, quick: bool,
    resume: bool, store: str | None, forecast: str | None, as_json: bool, debug: bool, run_name: str | None,
) -> int:  # fmt: skip
    """Train the experiments of spec FILEs (all, or only the variants of the given NAMEs).

    Every epoch is recorded in the journal, in MLflow and in TensorBoard. Exit status: 0 done, 1 a run
    failed, 2 bad input, 75 stopped but resumable, 130 stopped by Ctrl-C.
    """
    place = find_store(store)
    place.require_writable()
    variants = wanted(files, assignments, _seeds(seed, seeds), quick, place)
    tasks = [replace(_task(variant, place, resume, run_name), forecast=forecast) for variant in variants]
    watched(tasks[0], store)  # a wrong --forecast is refused before anything runs
    if len(tasks) == 1:
        return run_here(tasks[0], place, as_json)
    statuses = [_run_child(task, store, as_json, debug) for task in _until_stopped(tasks)]
    if not as_json:
        _compare(place, tasks)
    return next((status for status in (130, 75, 1, 2) if status in statuses), 0)


def watched(task: Task, store: str | None) -> Watcher | None:
    """Return what looks on at each epoch, where the user asked for it; the program hands its maker in."""
    if not task.forecast:
        return None
    maker = click.get_current_context().find_root().obj
    found: Watcher = maker(task.forecast, task.variant.study, store)
    return found


def wanted(
    files: tuple[str, ...], assignments: tuple[str, ...], seeds: list[int] | None, quick: bool, store: Store
) -> list[catalog.Variant]:
    """Return the variants that the words of the command line mean, overrides applied."""
    paths = [word for word in files if word.endswith(".py")]
    chosen = [word for word in files if word not in paths]
    if not paths:
        raise SpecError(
            f"{files[0]!r} is no spec file", expected="a Python file such as experiments/quickstart.py"
        )
    variants = [variant for path in paths for variant in catalog.load(path)]
    variants = catalog.choose(variants, chosen)
    if seeds is not None:
        variants = [catalog.with_seed(variant, seed) for variant in variants for seed in seeds]
    variants = [catalog.override(variant, assignments) for variant in variants]
    where = catalog.places(store.root.parent)
    for variant in variants:
        rates.refuse(variant.experiment.plans())
    if quick:
        variants = [catalog.quick(variant, where) for variant in variants]
    for variant in variants:
        _refuse_missing(variant, where)
    return variants


def _refuse_missing(variant: catalog.Variant, where: Places) -> None:
    experiment = variant.experiment
    parts: list[Source | PairSet] = [experiment.data, *experiment.sets]
    for part in parts:
        words = part.missing(where)
        if words:
            raise InputError(
                words, where=f"{variant.path} ({variant.name})", do="or try the code with --quick"
            )


def _seeds(seed: int | None, seeds: str | None) -> list[int] | None:
    if seed is not None and seeds is not None:
        raise InputError("both --seed and --seeds", do="give one of them")
    if seed is not None:
        return [seed]
    if seeds is None:
        return None
    try:
        return [int(word) for word in seeds.split(",")]
    except ValueError as error:
        raise InputError(
            f"{seeds!r} is no list of seeds", where="--seeds", expected="whole numbers: 0,1,2"
        ) from error


def _task(variant: catalog.Variant, store: Store, resume: bool, name: str | None) -> Task:
    if name:
        return Task(variant, name, store.journal(name).exists())
    if resume:
        found = unfinished(store, variant.experiment.id, variant.experiment.seed)
        if found:
            return Task(variant, found[0], True)
    return Task(variant, new_run_name(), False)


# ---------------------------------------------------------------- here


def run_here(task: Task, store: Store, as_json: bool) -> int:
    """Run in this process; retry as the experiment's `safety.retries` allows."""
    from workbench.runner import run
    from workbench.screen import screen

    retries = task.variant.experiment.safety.retries
    stream = sys.stderr if as_json else sys.stdout
    steps = catalog.QUICK_STEPS if task.variant.quick else None
    tags = {TAG_FORECAST: task.forecast} if task.forecast else {}
    order = Order(task.variant, store, task.run, resume=task.resume, steps=steps, tags=tags)
    watcher = watched(task, str(store.root) if store.is_local else store.uri)
    try:
        while True:
            try:
                run(order, screen(stream), watcher)
                return 0
            except RunFailed as failure:
                if not retries:
                    raise
                retries -= 1
                click.echo(f"note: {failure}; trying again ({retries} more)", err=True)
                order = replace(order, resume=True)
    finally:
        if as_json:
            print_json(store, [task.run])


def print_json(store: Store, runs: list[str]) -> None:
    """Print one line a run: `{"run", "study", "name", "status", "best": {...}}`."""
    from workbench.tracking.summary import summary

    for name in runs:
        if store.journal(name).exists():
            click.echo(json.dumps(summary(store, name)))


# ---------------------------------------------------------------- children


def _until_stopped(tasks: list[Task]) -> Iterator[Task]:
    """Yield the tasks until a Ctrl-C or SIGTERM came; the child at work gets the same signal."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        asked.append(number)
        if number == signal.SIGTERM and _child is not None:
            _child.terminate()

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for task in tasks:
            if asked:
                return
            yield task
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


_child: subprocess.Popen[bytes] | None = None


def _run_child(task: Task, store: str | None, as_json: bool, debug: bool) -> int:
    """Run one task in a process of its own and return its exit status."""
    global _child
    words = [sys.executable, "-m", "workbench", "run", task.variant.path, task.variant.name]
    words += ["--run-name", task.run, "--seed", str(task.variant.experiment.seed)]
    words += [
        f"--set={how.removeprefix('--set ')}"
        for how in task.variant.overrides.values()
        if how.startswith("--set")
    ]
    words += ["--quick"] * task.variant.quick + ["--json"] * as_json + ["--debug"] * debug
    words += ["--store", store] if store else []
    words += ["--forecast", task.forecast] if task.forecast else []
    _child = subprocess.Popen(words, preexec_fn=_die_gently_with_parent)
    while True:
        try:
            status = _child.wait()
            break
        except KeyboardInterrupt:
            continue
    _child = None
    return status if status >= 0 else 128 - status


def _die_gently_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies (Linux only; elsewhere nothing happens)."""
    import ctypes

    set_death_signal = 1
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(set_death_signal, signal.SIGTERM)


def _compare(store: Store, tasks: list[Task]) -> None:
    from workbench.commands.look import runs_table

    names = [task.run for task in tasks if store.journal(task.run).exists()]
    if not names:
        return
    click.echo("")
    click.echo(runs_table(store, names))
    click.echo("\nNext:")
    click.echo(f"  workbench show {names[0]}      one run: settings, stages, every epoch")
    click.echo("  workbench list                 all runs")
    click.echo("  workbench ui                   MLflow and TensorBoard in the browser")
