"""A report into a folder: `report.html`, `report.md` with its figures, and every row as `rows.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.report.collect import Study
from analysis.report.html import html
from analysis.report.markdown import markdown
from analysis.report.page import Page, Picture
from analysis.report.sections import page
from analysis.tables.render import render
from workbench.errors import InputError
from workbench.files import write_whole


def write(study: Study, folder: Path) -> list[Path]:
    """Write a study's report into `folder` and return its files, the page first.

    Everything is made before anything is written; each file then takes its place whole.
    Raises `InputError` when the folder cannot be written.
    """
    folder = folder.resolve()
    made = page(study, folder)
    contents = {"report.html": html(made).encode(), "report.md": markdown(made).encode()}
    contents |= {f"{picture.name}.svg": picture.svg for picture in _pictures(made)}
    contents["rows.csv"] = (render(study.frame, "csv") + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [write_whole(folder / name, content) for name, content in contents.items()]
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=folder) from error


def _pictures(made: Page) -> Iterator[Picture]:
    for section in made.sections:
        yield from (block for block in section.blocks if isinstance(block, Picture))
