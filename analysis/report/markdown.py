"""A report as Markdown, with its figures in files beside it."""

from __future__ import annotations

import re

import pandas as pd

from analysis.report.page import Block, Links, Page, Picture, Table, Text
from analysis.tables.render import render

SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def markdown(page: Page) -> str:
    """Return the page as text; its figures are linked as `NAME.svg`."""
    parts = [f"# {escaped(page.title)}", escaped(page.question)]
    for section in page.sections:
        parts += [f"## {section.title}", *(_block(block) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return a plain text in which nothing is markup."""
    return SPECIAL.sub(r"\\\1", text)


def _block(block: Block) -> str:
    if isinstance(block, Text):
        mark = "- " if block.listed else ""
        return ("\n" if block.listed else "\n\n").join(mark + escaped(item) for item in block.items)
    if isinstance(block, Picture):
        return f"![{escaped(block.caption)}]({block.name}.svg)\n\n*{escaped(block.caption)}*"
    if isinstance(block, Links):
        lines = [_link_row(*row) for row in block.rows]
        return _folded("\n".join(lines), block.fold)
    return _folded(render(_safe(block), "markdown", block.bold, block.decimals), block.fold)


def _safe(table: Table) -> pd.DataFrame:
    """Return the frame with its texts escaped."""
    frame = table.frame.rename(columns=lambda name: str(name).replace("|", r"\|"))
    texts = [name for name in frame.columns if frame[name].dtype.kind not in "fiub"]
    return frame.assign(
        **{name: [escaped(v) if isinstance(v, str) else v for v in frame[name]] for name in texts}
    )


def _link_row(title: str, words: str, links: object) -> str:
    shown = ", ".join(f"[{escaped(text)}](<{address}>)" for text, address in links)  # type: ignore[attr-defined]
    return f"- {escaped(title)}: {escaped(words)}" + (f" ({shown})" if shown else "")


def _folded(text: str, fold: str) -> str:
    return f"<details><summary>{fold}</summary>\n\n{text}\n\n</details>" if fold else text
