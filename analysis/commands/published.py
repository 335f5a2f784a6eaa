"""`workbench table STUDY --published`, and `workbench results`: published numbers beside those of our records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import workbench.commands.completers as completers
from analysis.commands.record_options import say
from workbench.commands.common_options import DEBUG, STORE
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError
from workbench.spec.load import load_variants
from workbench.tracking.store import Store, find_store

if TYPE_CHECKING:
    from analysis.commands.table_text import TableQuery
    from analysis.frames import Records
    from analysis.tables.published_file import Published


@click.command()
@click.argument("studies", nargs=-1, metavar="[STUDY]...", shell_complete=completers.studies)
@click.option(
    "--refresh", is_flag=True, help="Write the file anew from the records; studies not there are kept."
)
@click.option(
    "--file",
    "path",
    default="docs/results.json",
    show_default=True,
    type=click.Path(dir_okay=False),
    help="Where the numbers are kept.",
)
@STORE
@direction_options
@DEBUG
def results(studies: tuple[str, ...], refresh: bool, path: str, store: str | None) -> None:
    """Print what runs reached beside published numbers, from a file that --refresh makes of the records."""
    from analysis.tables import results as kept

    file = Path(path)
    if not refresh:
        if studies:
            raise InputError("a STUDY without --refresh", do="workbench table STUDY --published shows one")
        click.echo(kept.page(file))
        return
    if not file.parent.is_dir():
        raise InputError("no such folder", where=file.parent, do="make it, or give --file")
    old = kept.read_results(file)
    kept.write_results(file, kept.refreshed(old, records(store), studies, local(store)))
    new = kept.read_results(file)
    changed = [study for study in new if new[study] != old.get(study)]
    click.echo(f"{file}: {len(new)} studies, changed: {', '.join(changed) or 'none'}")


def show_published(query: TableQuery, output: str | None, as_json: bool) -> None:
    """Print the published numbers of one study beside ours, and what is missing."""
    text, lines = published_text(replace(query, form="json") if as_json else query)
    say(text, output)
    for line in lines:
        click.echo(line, err=True)


def published_text(query: TableQuery) -> tuple[str, list[str]]:
    """Return the table of one study as text, and remarks on it; raises `InputError`."""
    from analysis.tables import published, published_file
    from analysis.tables.render import render

    if len(query.items) != 1:
        raise InputError(
            f"{len(query.items)} studies", where="--published", expected="one, such as subcenter_casia"
        )
    theirs, names = published_file.published_of(query.items[0]), variants(query.items[0])
    ours = published.ours_of(records(query.store), theirs.study, theirs.readings(), local(query.store))
    frame = published.comparison(theirs, ours, names)
    for_reader = query.form in ("markdown", "latex", "html")
    table = published.written(published.shortened(frame)) if for_reader else frame
    text = render(table, query.form, decimals=published.decimals(table) if for_reader else None)
    return text, remarks(theirs, ours, names)


def variants(study: str) -> list[str]:
    """Return the names of a study's rows, from its spec: variants, and experiments in the place of their folds.

    Of numbers without a study they are those of the file.
    """
    from analysis.tables.published_file import published_of, references, spec_of
    from analysis.tables.results import row_names

    if study in references():
        return published_of(study).names
    return row_names(load_variants(spec_of(study)))


def local(store: str | None) -> Store | None:
    """Return a store whose artifacts can be read here, None for a server."""
    place = find_store(store)
    return place if place.is_local else None


def records(store: str | None) -> Records:
    """Return the records of a store; none at all where it has no runs."""
    from analysis.frames import build
    from analysis.sources import EmptyStore, trainings

    try:
        return trainings(store)
    except EmptyStore:  # no error beside published numbers
        return build([], [])


def remarks(theirs: Published, ours: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return what the table does not say: how it is read, and which runs are missing."""
    from analysis.tables import published, published_file
    from analysis.tables.conventions import published_note

    at = published.reading(theirs.at)
    by = f"published by {theirs.source}" if theirs.names else f"nothing is published of {theirs.study}"
    lines = [f"note: values are {at}{published.exceptions(theirs)}; {by}"]
    if theirs.ijb:
        lines.append(f"note: IJB rows are 1:1, {theirs.protocol}; `workbench ijb RUN FOLDER` measures ours")
    if theirs.study in published_file.references():
        return lines
    convention = published_note(theirs, published.trained(ours))
    lines += [f"note: {convention}"] if convention else []
    gone = published.missing(ours, names)
    if gone:
        lines.append(f"missing: {len(gone)} of {len(names)} runs: {', '.join(gone)}")
        lines.append(
            f"`workbench run {shown(published_file.spec_of(theirs.study))} {gone[0]}` makes the first of them"
        )
    return lines


def shown(path: Path) -> str:
    """Return a path as one would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
