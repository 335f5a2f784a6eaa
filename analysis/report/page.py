"""What a report is made of, before it is Markdown or HTML: text, tables, pictures and links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class Text:
    """Plain paragraphs or, with `items`, a list; nothing in them is markup."""

    items: Sequence[str]
    listed: bool = False


@dataclass(frozen=True)
class Table:
    """A table; `bold` names, by column, the positions of cells that stand out. Folded under its `fold`.

    `decimals` are those of columns that are written as fixed-point numbers.
    """

    frame: pd.DataFrame
    bold: Mapping[str, Sequence[int]] = field(default_factory=dict)
    fold: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A drawn figure: the name of its file without ending, what it shows, and the SVG itself."""

    name: str
    caption: str
    svg: bytes


@dataclass(frozen=True)
class Links:
    """Rows of a name, some words about it, and (text, address) pairs; folded under its `fold`."""

    rows: Sequence[tuple[str, str, Sequence[tuple[str, str]]]]
    fold: str = ""


Block = Text | Table | Picture | Links


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole report: its title, the question under it, and its sections."""

    title: str
    question: str
    sections: Sequence[Section]
