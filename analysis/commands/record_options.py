"""What the commands that read records share: options as values, and what is said of records on the error output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.errors import InputError, RecordError
from workbench.names import no_direction, of_unknown_direction

if TYPE_CHECKING:
    from analysis.frames import Records


def lengths(text: str | None) -> tuple[int, ...]:
    """Return "5,5,10" as whole numbers; raises `InputError` for anything else."""
    if not text:
        return ()
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise InputError(
            f"{text!r} are not stage lengths", where="--stages", expected="whole numbers such as 5,5,10"
        )
    return found


def counted_from(text: str | None) -> int | None:
    """Return what `--epochs-from` says as a number, None where it is not given."""
    return None if text is None else int(text)


def without_quick(records: Records) -> Records:
    """Return the records without `--quick` runs; raises `RecordError` when no other run is there."""
    quick = records.runs["quick"].eq(True)
    if quick.all():
        raise RecordError("there are only --quick runs", do="give --quick to see them")
    return records.only(records.runs["run"][~quick]) if quick.any() else records


def say_unknown(records: Records) -> None:
    """Print one line about metrics that have no best because nobody knows whether they should fall or rise."""
    unknown = of_unknown_direction(records.epochs["metric"].unique())
    if unknown:
        click.echo(f"note: {no_direction(*unknown)}", err=True)


def say_notes(records: Records) -> None:
    """Print what could not be read, and that records are partial, to the error output."""
    for note in records.notes:
        click.echo(f"note: {note}", err=True)
    if records.partial:
        click.echo(f"partial: {records.partial}", err=True)
