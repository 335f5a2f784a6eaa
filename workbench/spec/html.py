"""Small HTML for notebooks: a table, a line, and a curve as a sparkline; plain enough for any theme."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Sequence
from typing import Any

from workbench.spec.labels import value_text
from workbench.spec.parameters import is_default

WIDTH, HEIGHT = 120, 18  # of a sparkline, pixels


def line(text: str, aside: str = "") -> str:
    """Return one line, with something small behind it."""
    small = f" <small style='opacity:.6'>{html.escape(aside)}</small>" if aside else ""
    return f"<div>{html.escape(text)}{small}</div>"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], raw: Collection[int] = ()) -> str:
    """Return a table; the columns `raw` are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th style='text-align:left'>{html.escape(title)}</th>" for title in titles)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td style='text-align:left'>{cell if at in raw else html.escape(cell)}</td>"
            for at, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def sparkline(values: Sequence[float]) -> str:
    """Return a curve as an SVG of a line's height; values that are not finite leave a gap."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    parts: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if not math.isfinite(value):
            parts.append([])
            continue
        x = 2 + (WIDTH - 4) * place / max(len(values) - 1, 1)
        y = HEIGHT - 2 - (HEIGHT - 4) * ((value - low) / (high - low) if high > low else 0.5)
        parts[-1].append(f"{x:.1f},{y:.1f}")
    lines = "".join(
        f'<polyline fill="none" stroke="#4c72b0" stroke-width="1.5" points="{" ".join(points)}"/>'
        if len(points) > 1
        else f'<circle cx="{points[0].split(",")[0]}" cy="{points[0].split(",")[1]}" r="1.5" fill="#4c72b0"/>'
        for points in parts
        if points
    )
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img">{lines}</svg>'


def experiment(shown: Any) -> str:
    """Return an experiment as HTML: what it is, its stages with their rates, and what is not at its default."""
    rows = []
    for plan in shown.plans():
        done = [plan.schedule_offset + epoch * plan.advances_schedule for epoch in range(plan.epochs)]
        rates = [float(plan.schedule.at(t)) for t in done]
        span = f"{rates[0]:g}" if rates[0] == rates[-1] else f"{rates[0]:g} to {rates[-1]:g}"
        rows.append(
            [str(plan.number), plan.name, f"{plan.first_epoch}-{plan.last_epoch}", span, sparkline(rates)]
        )
    stages = table(["stage", "loss", "epochs", "learning rate", ""], rows, raw=(4,))
    settings = [
        [name, value_text(value)]
        for name, value in shown.parameters().items()
        if not name.startswith("stages.") and not is_default(shown, name)
    ]
    folded = f"<details><summary>{len(settings)} settings</summary>{table(['setting', 'value'], settings)}</details>"
    return line(repr(shown), shown.id) + stages + folded


def sweep(shown: Any) -> str:
    """Return a sweep as HTML: what is sought, and the values of each setting."""
    rows = [[name, str(domain)] for name, domain in shown.domains.items()]
    return line(repr(shown)) + table(["setting", "values"], rows)
