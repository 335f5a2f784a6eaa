"""`workbench sweep`: search the space of a sweep's spec; every trial is an ordinary run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, TRY_QUICK, json_option, store_option
from workbench.errors import InputError
from workbench.security.visible_text import surviving_lost_streams
from workbench.spec.variant import Variant
from workbench.tracking.store import Store, find_store


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE [NAME]...", shell_complete=completers.specs)
@click.option(
    "--trials", type=click.IntRange(1), help="At most so many trials, those before a resume with them."
)
@click.option("--resume", is_flag=True, help="Go on with the newest sweep of this name.")
@click.option(
    "--workers", type=click.IntRange(1), help="Run trials in this many processes, each on its own device."
)
@click.option(
    "--allow-changed-space", is_flag=True, help="Resume although the sweep's settings are no longer the same."
)
@TRY_QUICK
@click.option(
    "--emit", metavar="FILE", type=click.Path(dir_okay=False), help="Write the best settings as a spec."
)
@click.option("--train-best", is_flag=True, help="Then train the best settings in full, as a run of its own.")
@click.option("--verbose", is_flag=True, help="Show the epochs of the trials too.")
@store_option("Where to record: a folder or an MLflow server.")
@json_option("one JSON line a run on standard output")
@DEBUG
@surviving_lost_streams()
def sweep(
    files: tuple[str, ...],
    trials: int | None,
    resume: bool,
    workers: int | None,
    allow_changed_space: bool,
    quick: bool,
    emit: str | None,
    train_best: bool,
    verbose: bool,
    store: str | None,
    as_json: bool,
) -> int:
    """Run the sweeps of a spec FILE (all, or those of the given NAMEs), one trial after another.

    Exit status: 0 done, 1 the search gave up, 2 bad input, 75 stopped but resumable, 130 stopped by Ctrl-C.
    """
    from workbench.sweep import run as running
    from workbench.sweep.load_sweeps import choose_sweeps, load_sweeps, refuse_missing
    from workbench.train.progress import Screen

    place = find_store(store)
    place.require_writable()
    chosen = choose_sweeps(load_sweeps(files[0]), files[1:])
    if (emit or train_best) and len(chosen) > 1:
        raise InputError("more than one sweep", where=files[0], do="name the one whose best is meant")
    if not quick:
        for item, variant in chosen:
            refuse_missing(item, variant, place)
    if emit:
        writable(Path(emit))
    screen = Screen(sys.stderr if as_json else sys.stdout)
    options = running.SweepOptions(
        trials, resume, workers or 0, chief_role(), store, as_json, allow_changed_space, verbose
    )
    if options.role and len(chosen) > 1:
        raise InputError("a chief and its workers do one sweep", where=files[0], do="name it behind the file")
    for item, variant in chosen:
        variant = _quick(variant) if quick else variant
        if options.role and "chief" not in options.role[0]:
            running.serve(item, variant, place, screen, options)
            continue
        runner = running.run(item, variant, place, screen, options)
        report(runner, screen, as_json)
        best(runner, emit, train_best, as_json)
    return 0


def chief_role() -> tuple[str, str, int] | None:
    """Return what Keras Tuner's environment variables make of this process, None where they are not set."""
    import os

    if not any(name.startswith("KERASTUNER_") for name in os.environ):
        return None  # without the cost of the imports
    from workbench.sweep import chief

    return chief.role()


def _quick(variant: Variant) -> Variant:
    from dataclasses import replace

    return replace(variant, quick=True)


def writable(path: Path) -> None:
    """Refuse, before anything is trained, a place that the best spec cannot be written to."""
    if path.suffix != ".py":
        raise InputError(
            f"{path.name!r} is not a spec file", where="--emit", expected="a name that ends in .py"
        )
    if not path.parent.is_dir():
        raise InputError("no such folder", where=f"--emit {path}", do="make it first")
    if path.exists():
        raise InputError("is there already", where=f"--emit {path}", do="move it away or choose another name")


def report(runner: Any, screen: Any, as_json: bool) -> None:
    """Show the trials, the best first, and what to do next; with JSON one line a run."""
    from workbench.sweep.summary import closing
    from workbench.tracking.best import summary
    from workbench.tracking.sweeps import read

    record = read(runner.store, runner.run)
    screen.say(closing(record, runner.sweep.domains))
    if as_json:
        for trial in record.trials:
            for run in trial.request.runs:
                if trial.id == trial.request.chain and runner.store.journal(run).exists():
                    line = summary(runner.store, run)
                    click.echo(
                        json.dumps({**line, "sweep": record.run, "settings": dict(trial.request.settings)})
                    )


def best(runner: Any, emit: str | None, train: bool, as_json: bool) -> None:
    """Write the best settings as a spec file, and train them in full, where that was asked for."""
    if not (emit or train):
        return
    from workbench.spec.to_source import write_spec
    from workbench.sweep.best_spec import best_variant

    variant = best_variant(runner)
    if emit:
        write_spec(Path(emit), variant)
        click.echo(f"wrote {emit}: `workbench run {emit}` trains it", err=as_json)
    if train:
        train_in_full(variant, runner.store, as_json)


def train_in_full(variant: Variant, store: Store, as_json: bool) -> None:
    """Train the best settings as a run of its own, or go on with it where an earlier command was stopped."""
    from workbench.commands.run import run_here
    from workbench.jobs.task import Task
    from workbench.tracking.rows import new_run_name
    from workbench.tracking.runs import read_states

    for state in reversed(read_states(store)):
        start = state.start
        if start and (start.study, start.name, start.id) == (
            variant.study,
            variant.name,
            variant.experiment.id,
        ):
            if state.status == "finished":
                click.echo(f"{state.run} has trained it in full already", err=as_json)
                return
            run_here(Task(variant, state.run, True), store, as_json)
            return
    run_here(Task(variant, new_run_name(), False), store, as_json)
