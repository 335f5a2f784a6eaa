"""Options of the commands that read records, each written once, and what they say of what was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import workbench.commands.completers as completers
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


ITEMS = click.argument("items", nargs=-1, metavar="[RUN_STUDY_OR_FILE]...", shell_complete=completers.records)
STAGES = click.option(
    "--stages",
    metavar="5,5,10",
    callback=lambda context, option, text: lengths(text),
    help="Stage lengths in epochs, of histories that do not know theirs.",
)
EPOCHS_FROM = click.option(
    "--epochs-from",
    type=click.Choice(["0", "1"]),
    callback=lambda context, option, text: None if text is None else int(text),
    help="What files call their first epoch, if they do not say.",
)
ZEROS_ARE_GAPS = click.option(
    "--zeros-are-gaps", is_flag=True, help="Take zeros in files for values that were not measured."
)
SELECT = click.option("--select", metavar="METRIC", help="The metric that chooses the best epoch.")
QUICK = click.option("--quick", is_flag=True, help="Include --quick runs.")


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


def say(text: str, output: str | None) -> None:
    """Print a text, or write it to the file `output`."""
    if output:
        Path(output).write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)
