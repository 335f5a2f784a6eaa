"""A report as Markdown, with its figures in files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from analysis.report.page import Block, Links, Page, Picture, Text
from analysis.tables.render import render
from workbench.security.visible_text import link, markdown_cell


def markdown(page: Page) -> str:
    """Return the page as text; its figures are linked as `NAME.svg`."""
    parts = [f"# {escaped(page.title)}", escaped(page.question)]
    for section in page.sections:
        parts += [f"## {escaped(section.title)}", *(_block(block) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return a plain text in which nothing is markup."""
    return re.sub(r"([*_])", r"\\\1", markdown_cell(text))


def _block(block: Block) -> str:
    if isinstance(block, Text):
        mark = "- " if block.listed else ""
        return ("\n" if block.listed else "\n\n").join(mark + escaped(item) for item in block.items)
    if isinstance(block, Picture):
        return f"![{escaped(block.caption)}]({block.name}.svg)\n\n*{escaped(block.caption)}*"
    if isinstance(block, Links):
        lines = [_link_row(*row) for row in block.rows]
        return _folded("\n".join(lines), block.fold)
    return _folded(render(block.frame, "markdown", block.bold, block.decimals), block.fold)


def _link_row(title: str, words: str, links: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"[{escaped(text)}](<{link(address)}>)" for text, address in links)
    return f"- {escaped(title)}: {escaped(words)}" + (f" ({shown})" if shown else "")


def _folded(text: str, fold: str) -> str:
    return f"<details><summary>{escape(fold)}</summary>\n\n{text}\n\n</details>" if fold else text
