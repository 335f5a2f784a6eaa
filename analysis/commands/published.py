"""`workbench table STUDY --published`, and `workbench results`: published numbers beside those of our records."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.errors import InputError, StoreError


def show_published(items, form, store, output, as_json) -> None:  # type: ignore[no-untyped-def]
    """Print the published numbers of one study beside ours, and what is missing."""
    from analysis import published
    from analysis.render import render

    if len(items) != 1:
        raise InputError(
            f"{len(items)} studies", where="--published", expected="one, such as subcenter_casia"
        )
    theirs = published.published_of(items[0])
    names = variants(items[0])
    ours = published.ours_of(records(store), theirs.study, (theirs.at,)) if has_records(store) else {}
    frame = published.comparison(theirs, ours, names)
    text = render(frame, "json" if as_json else form)
    if output:
        Path(output).write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)
    for line in remarks(theirs, ours, names):
        click.echo(line, err=True)


def variants(study: str) -> list[str]:
    """Return the names of a study's variants, from its spec."""
    from analysis.published import spec_of
    from workbench.catalog import load

    return [variant.name for variant in load(spec_of(study))]


def has_records(store: str | None) -> bool:
    """Tell whether a store holds anything: an empty one is no error beside published numbers."""
    from workbench.tracking.store import find_store

    place = find_store(store)
    return not place.is_local or bool(place.runs()) or place.database.exists()


def records(store: str | None):  # type: ignore[no-untyped-def]
    """Return the records of a store; none at all where it has no runs."""
    from analysis.frames import build
    from analysis.sources import load

    try:
        return load((), store)
    except StoreError as error:
        if "no records yet" not in str(error):
            raise
        return build([], [])


def remarks(theirs, ours, names) -> list[str]:  # type: ignore[no-untyped-def]
    """Return what the table does not say: how it is read, and which runs are missing."""
    from analysis import published

    meaning = {published.EACH: "the maximum of each set", published.LAST: "the last epoch"}
    at = meaning.get(theirs.at, f"the epoch at which {theirs.at} is best")
    lines = [f"note: values are {at}; published by {theirs.source}"] if theirs.runs else [
        f"note: nothing is published of {theirs.study}"
    ]  # fmt: skip
    gone = published.missing(ours, names)
    if gone:
        lines.append(f"missing: {len(gone)} of {len(names)} runs: {', '.join(gone)}")
        lines.append(
            f"`workbench run {shown(published.spec_of(theirs.study))} {gone[0]}` makes the first of them"
        )
    return lines


def shown(path: Path) -> str:
    """Return a path as one would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
