"""`workbench note` and `workbench tag`: what a reader says of a run afterwards, seen in lists and in MLflow."""

from __future__ import annotations

import dataclasses

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, STORE
from workbench.errors import InputError, suggestion
from workbench.tracking.reader_notes import LONGEST, ReaderNotes, parse_tag, read_notes, write_notes
from workbench.tracking.runs import find_run, read_state
from workbench.tracking.store import Store, find_store


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.argument("text", nargs=-1)
@click.option("--delete", is_flag=True, help="Take the note away.")
@STORE
@DEBUG
def note(run: str, text: tuple[str, ...], delete: bool, store: str | None) -> None:
    """Write the note TEXT on RUN (in place of an earlier one), or print the note that it has.

    `show`, `list --columns note` and MLflow show it.
    """
    place, name, before = _opened(run, store)
    if not text and not delete:
        click.echo(before.note or f"no note on {run}")
        return
    if text and delete:
        raise InputError("both a text and --delete", expected="one of them")
    words = " ".join(text).strip()
    if len(words) > LONGEST:
        raise InputError(f"a note of {len(words)} letters", expected=f"{LONGEST} at most")
    _keep(place, name, dataclasses.replace(before, note=words))
    click.echo(f"{run}: note {'taken away' if delete else 'kept'}")


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("-d", "--delete", multiple=True, metavar="KEY", help="Take a tag off (again for more).")
@STORE
@DEBUG
def tag(run: str, tags: tuple[str, ...], delete: tuple[str, ...], store: str | None) -> None:
    """Give RUN tags, each KEY or KEY=VALUE, or print those that it has.

    `list --tag KEY` shows the runs that have one; MLflow shows them as tags.
    """
    place, name, before = _opened(run, store)
    missing = [key for key in delete if key not in before.tags]
    if missing:
        raise InputError(f"no tag {missing[0]!r}", where=run, do=suggestion(missing[0], before.tags))
    kept = {key: value for key, value in before.tags.items() if key not in delete}
    after = dataclasses.replace(before, tags={**kept, **dict(parse_tag(text) for text in tags)})
    if tags or delete:
        _keep(place, name, after)
    click.echo(f"{run}: {after.words() or 'no tags'}")


def _opened(run: str, address: str | None) -> tuple[Store, str, ReaderNotes]:
    store = find_store(address)
    name = find_run(store, run)
    read_state(store, name)  # a run that MLflow alone knows has no record to keep this beside
    return store, name, read_notes(store, name)


def _keep(store: Store, run: str, notes: ReaderNotes) -> None:
    """Keep what was said, then show it in MLflow; where that cannot be, say when it will."""
    from workbench.views.removed import show_again

    write_notes(store, run, notes)
    problem = show_again(store, run)
    if problem:
        click.echo(f"note: MLflow will show it after `workbench sync`: {problem}", err=True)
