"""`workbench remove` and `workbench restore`: runs into the store's trash, and back."""

from __future__ import annotations

from datetime import datetime

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, STORE
from workbench.tracking import removed_runs, trash
from workbench.tracking.runs import find_run
from workbench.tracking.store import find_store


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completers.runs)
@STORE
@DEBUG
def remove(runs: tuple[str, ...], store: str | None) -> None:
    """Move RUNs to the store's trash, a sweep with its trials; `workbench restore` brings them back.

    Nothing is deleted: to free the space, delete the folder `trash` of the store.
    """
    from workbench.views.removed import hide

    place = find_store(store)
    names = trash.with_trials(place, list(dict.fromkeys(find_run(place, run) for run in runs)))
    trash.refuse_needed(place, names)
    # MLflow first: where it does not answer nothing has moved, and the command can be given again.
    hide(place, names)
    for name in names:
        trash.discard(place, name)
        click.echo(f"removed {removed_runs.find_removed(place, name).title}  ({name})")
    click.echo(f"`workbench restore {names[0]}` brings {'it' if len(names) == 1 else 'the first'} back")


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=completers.removed_runs)
@STORE
@DEBUG
def restore(runs: tuple[str, ...], store: str | None) -> None:
    """Bring removed RUNs back from the trash, or list what is in it."""
    from workbench.views.removed import show_again

    place = find_store(store)
    if not runs:
        for one in removed_runs.removed(place):
            files = (place.root / removed_runs.FOLDER / one.run).rglob("*")
            size = sum(path.lstat().st_size for path in files) / 1e6
            when = datetime.fromtimestamp(one.time).astimezone().strftime("%Y-%m-%d %H:%M")
            click.echo(f"{one.run}  {one.title}  {size:.1f} MB, removed {when}")
        if not removed_runs.removed(place):
            click.echo("the trash is empty")
        return
    for one in [removed_runs.find_removed(place, run) for run in runs]:
        trash.bring_back(place, one.run)
        problem = show_again(place, one.run)
        click.echo(f"restored {one.title}  ({one.run})")
        if problem:
            click.echo(f"note: MLflow will show it after `workbench sync`: {problem}", err=True)
