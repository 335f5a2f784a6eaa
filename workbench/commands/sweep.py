"""`workbench sweep`: search the space of a sweep's spec; every trial is an ordinary run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, TRY_QUICK, json_option, say, store_option
from workbench.errors import InputError
from workbench.jobs.task import planned
from workbench.security.visible_text import surviving_lost_streams
from workbench.spec.to_source import write_spec
from workbench.tracking.best import summary
from workbench.tracking.store import find_store
from workbench.tracking.sweeps import read


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
    "--allow-changed-space",
    "allow_changed",
    is_flag=True,
    help="Resume although the sweep's settings are no longer the same.",
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
    quick: bool,
    emit: str | None,
    train_best: bool,
    store: str | None,
    as_json: bool,
    workers: int | None,
    **given: Any,
) -> int:
    """Run the sweeps of a spec FILE (all, or those of the given NAMEs), one trial after another.

    Exit status: 0 done, 1 the search gave up, 2 bad input, 75 stopped but resumable, 130 stopped by Ctrl-C.
    """
    from workbench.commands.run import refuse_missing
    from workbench.spec.datasets import default_places
    from workbench.sweep import run as running
    from workbench.sweep.load_sweeps import choose_sweeps, load_sweeps
    from workbench.train.progress import Screen

    place = find_store(store)
    place.require_writable()
    chosen = choose_sweeps(load_sweeps(files[0]), files[1:])
    if (emit or train_best) and len(chosen) > 1:
        raise InputError("more than one sweep", where=files[0], do="name the one whose best is meant")
    if not quick:
        for _, variant in chosen:
            refuse_missing(variant, default_places(place.root.parent))
    if emit:
        writable(Path(emit))
    screen = Screen(sys.stderr if as_json else sys.stdout)
    options = running.SweepOptions(
        role=chief_role(), workers=workers or 0, store=store, as_json=as_json, **given
    )
    if options.role and len(chosen) > 1:
        raise InputError("a chief and its workers do one sweep", where=files[0], do="name it behind the file")
    for item, variant in chosen:
        variant = variant.changed(variant.experiment, variant.overrides, quick)
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

    record = read(runner.store, runner.run)
    screen.say(closing(record, runner.sweep.domains))
    for trial in record.trials if as_json else ():
        more = {"sweep": record.run, "settings": dict(trial.request.settings)}
        for run in trial.request.runs:
            if trial.id == trial.request.chain and runner.store.journal(run).exists():
                click.echo(json.dumps({**summary(runner.store, run), **more}))


def best(runner: Any, emit: str | None, train: bool, as_json: bool) -> None:
    """Write the best settings as a spec file, and train them in full, where that was asked for."""
    if not (emit or train):
        return
    from workbench.commands.run import run_here
    from workbench.sweep.best_spec import best_variant

    variant = best_variant(runner)
    if emit:
        write_spec(Path(emit), variant)
        click.echo(f"wrote {emit}: `workbench run {emit}` trains it", err=as_json)
    # As with `run --resume`: a training that an earlier command left unfinished is gone on with.
    for task in planned([variant], runner.store, True, say) if train else ():
        run_here(task, runner.store, as_json)
