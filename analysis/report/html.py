"""A report as one HTML page that needs nothing else: styles inside, figures as data addresses, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape as escaped

from analysis.report.page import Block, Links, Page, Picture, Text
from analysis.tables.render import render
from workbench.security.visible_text import link, visible


def escape(text: str) -> str:
    """Return a text of a record as a page shows it."""
    return escaped(visible(text))


STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; color: #1d1d1f; background: #fff;
       max-width: 84rem; margin: 0 auto; padding: 1.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; }
.question { font-size: 1.1rem; color: #444; margin: .3rem 0 1rem; }
nav { font-size: .9rem; margin-bottom: 1rem; } nav a { margin-right: 1rem; }
a { color: #0058a3; text-decoration: none; } a:hover { text-decoration: underline; }
p, ul { max-width: 52rem; } ul { padding-left: 1.2rem; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .6rem; border-bottom: 1px solid #e8e8e8; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #bbb; white-space: nowrap; } tbody tr:hover { background: #f5f8fb; }
td { max-width: 26rem; overflow-wrap: break-word; } td[style*=right] { white-space: nowrap; }
figure { margin: .6rem 0 1.2rem; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .86rem; color: #555; max-width: 52rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: #0058a3; }
.runs { list-style: none; padding: 0; max-width: none; font-size: .9rem; } .runs small { color: #666; }
@media print { details > * { display: block; } nav { display: none; } }
"""


def html(page: Page) -> str:
    """Return the page as one self-contained HTML document."""
    nav = "".join(f'<a href="#s{n}">{escape(s.title)}</a>' for n, s in enumerate(page.sections, start=1))
    body = []
    for number, section in enumerate(page.sections, start=1):
        body.append(f'<h2 id="s{number}">{escape(section.title)}</h2>')
        body += [_block(block) for block in section.blocks]
    head = f'<meta charset="utf-8"><title>{escape(page.title)}</title>'
    head += f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>'
    top = f'<h1>{escape(page.title)}</h1>\n<p class="question">{escape(page.question)}</p>\n<nav>{nav}</nav>'
    lines = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{top}\n{lines}\n</body></html>\n'


def _block(block: Block) -> str:
    if isinstance(block, Text):
        if not block.listed:
            return "".join(f"<p>{escape(item)}</p>" for item in block.items)
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in block.items) + "</ul>"
    if isinstance(block, Picture):
        data = base64.b64encode(block.svg).decode("ascii")
        image = f'<img alt="{escape(block.caption)}" src="data:image/svg+xml;base64,{data}">'
        return f"<figure>{image}<figcaption>{escape(block.caption)}</figcaption></figure>"
    if isinstance(block, Links):
        return _folded(f'<ul class="runs">{"".join(_link_row(*row) for row in block.rows)}</ul>', block.fold)
    table = render(block.frame, "html", block.bold, block.decimals)
    return _folded(f'<div class="wide">{table}</div>', block.fold)


def _link_row(title: str, words: str, links: Sequence[tuple[str, str]]) -> str:
    shown = " ".join(f'<a href="{escape(link(address))}">{escape(text)}</a>' for text, address in links)
    return f"<li>{escape(title)} <small>{escape(words)}</small> {shown}</li>"


def _folded(text: str, fold: str) -> str:
    return f"<details><summary>{escape(fold)}</summary>{text}</details>" if fold else text
