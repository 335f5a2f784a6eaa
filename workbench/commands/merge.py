"""`workbench merge`: the records of another machine into this store, as often as one likes."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.commands.common_options import DEBUG, PATH, say
from workbench.tracking.store import find_store
from workbench.train.signals import orderly_end


@click.command()
@click.argument("other", metavar="OTHER_MLRUNS", type=PATH)
@click.option("--into", metavar="STORE", help="The store to merge into (default: the project's mlruns/).")
@DEBUG
@orderly_end()
def merge(other: Path, into: str | None) -> int:
    """Copy all runs of OTHER_MLRUNS here, artifacts and checkpoints with them, then sync MLflow and TensorBoard.

    The same run in both is one run. A run with two different histories is named and refused, with nothing
    changed. OTHER_MLRUNS is only read.
    """
    from workbench.tracking.merging import merge as merged
    from workbench.views.sync import sync

    store = find_store(into)

    done = merged(other, store, say)
    for run in done.busy:
        say(f"note: {run} is being recorded; merge again when it has ended")
    for run, twin in done.twins.items():
        say(f"note: {run} was imported here from the same file, as {twin}")
    for name, why in done.left.items():
        say(f"note: {name} is not copied: {why}")
    for name in done.withheld:
        say(f"note: {name} holds a secret and cannot be masked: not copied")
    if done.foreign:
        say(f"note: {done.foreign} runs of the other MLflow have no journal; they stay there")
    # After all journals, of which views are made; what fails here another `workbench sync` completes.
    synced = sync(store, say)
    parts = [f"{len(done.new)} new", f"{len(done.longer)} brought up to date", f"{len(done.same)} the same"]
    parts += [f"{len(done.busy)} left"] if done.busy else []
    parts += [f"{len(done.left)} not copied"] if done.left else []
    click.echo(f"{other} merged into {store.root}: {', '.join(parts)}")
    return 1 if synced.failed or done.busy or done.left else 0
