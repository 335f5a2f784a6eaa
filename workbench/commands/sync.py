"""`workbench sync` and `workbench rebuild`: the views of the records, synced or made anew."""

from __future__ import annotations

import click

from workbench.commands.common_options import DEBUG, say, store_option
from workbench.tracking.store import find_store
from workbench.train.signals import orderly_end

ANY_STORE = store_option("A folder of records or a server (default: mlruns/).")


@click.command()
@ANY_STORE
@DEBUG
@orderly_end()
def sync(store: str | None) -> int:
    """Sync MLflow and TensorBoard from the journals; does nothing where they are in sync."""
    from workbench.views.sync import sync as sync_views

    found = find_store(store)
    done = sync_views(found, say)
    parts = [f"{len(done.changed)} synced", f"{len(done.unchanged)} were in sync"]
    parts += [f"{len(done.in_use)} being recorded"] if done.in_use else []
    parts += [f"{len(done.failed)} could not be done"] if done.failed else []
    total = len(done.changed) + len(done.unchanged) + len(done.in_use) + len(done.failed)
    click.echo(f"{total} run{'s' * (total != 1)} in {found.root}: " + ", ".join(parts))
    return 1 if done.failed else 0


@click.command()
@ANY_STORE
@DEBUG
@orderly_end()
def rebuild(store: str | None) -> int:
    """Make the MLflow database and TensorBoard folders anew from the journals; keeps a backup."""
    from workbench.views.rebuild import rebuild as build

    found = find_store(store)
    done = build(found, say)
    click.echo(f"{done.runs} runs rebuilt from their journals; what was there before is in {done.backup}")
    if done.foreign:
        click.echo(f"{done.foreign} runs of the old database have no journal: they are in the backup only")
    if done.failed:
        click.echo(f"{len(done.failed)} journals could not be shown")
    return 1 if done.failed else 0
