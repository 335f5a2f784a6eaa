"""Tables as text: Markdown, LaTeX, CSV, JSON and HTML, rounded for readers and not for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from analysis.frames import is_missing
from workbench.errors import InputError, suggestion
from workbench.security.visible_text import markdown_cell, one_line, spreadsheet_cell
from workbench.spec import labels

FORMATS = {"markdown": "pipe", "latex": "latex_booktabs", "html": "html", "csv": None, "json": None}
DECIMALS = {
    "seconds": 0,
    "images_per_second": 0,
    "device_hours": 2,
    "first_epoch_seconds": 0,
    "ms_per_step": 0,
}


BOLD = {"markdown": ("**", "**"), "latex": (r"\textbf{", "}"), "html": ("<b>", "</b>")}
SMALLEST_P = 0.0001
SMALLEST_MEASURED = 1e-3  # smaller numbers are settings such as 5e-4
OPEN, CLOSE = "\ue000", "\ue001"  # stand for the marks of bold while tabulate escapes the rest


def render(
    frame: pd.DataFrame,
    form: str = "markdown",
    bold: Mapping[str, Collection[int]] | None = None,
    decimals: Mapping[str, int] | None = None,
) -> str:
    """Return a table as text; `bold` names, by column, the positions of rows whose cells stand out.

    `decimals` are those of columns that are written as fixed-point numbers.

    Markdown, LaTeX and HTML show means as `0.9822 ± 0.0011`, times as hours and
    minutes, missing cells empty; CSV and JSON hold the unrounded values, missing ones empty or null.

    Raises `InputError` for an unknown format.
    """
    if form not in FORMATS:
        raise InputError(f"no format {form!r}", do=suggestion(form, FORMATS))
    if form == "json":
        return json.dumps(
            [{k: _plain(v) for k, v in row.items()} for row in frame.to_dict("records")], indent=1
        )
    if form == "csv":
        return _csv(frame)
    import tabulate

    columns = [name for name in frame.columns if not name.endswith(" ±")]
    even = {name for name in columns if frame[name].dtype.kind == "f" and frame[name].map(_measured).any()}
    fixed = decimals or {}
    cells = [
        [
            fixed_point(row[name], fixed[name]) if name in fixed else cell(row, name, name in even)
            for name in columns
        ]
        for row in frame.to_dict("records")
    ]
    cells = [[_shown(text, form) for text in row] for row in cells]
    for name, positions in (bold or {}).items():
        for position in positions:
            at = columns.index(name)
            cells[position][at] = f"{OPEN}{cells[position][at]}{CLOSE}"
    align = ["right" if frame[name].dtype.kind in "fiu" else "left" for name in columns]
    titles = [
        "time" if name == "seconds" else name.replace("_", " ") if name in DECIMALS else _shown(name, form)
        for name in columns
    ]
    text = tabulate.tabulate(cells, titles, tablefmt=FORMATS[form], disable_numparse=True, colalign=align)
    return text.replace(OPEN, BOLD[form][0]).replace(CLOSE, BOLD[form][1])


def _shown(text: str, form: str) -> str:
    """Return a cell in which nothing acts: tabulate itself escapes HTML and LaTeX, and not Markdown."""
    plain = text.replace(OPEN, "").replace(CLOSE, "")
    return markdown_cell(plain) if form == "markdown" else one_line(plain)


def cell(row: dict[str, Any], name: str, even: bool = False) -> str:
    """Return one cell as a reader sees it; `even` writes all measured digits, for columns that line up."""
    value, half = row[name], row.get(f"{name} ±")
    if is_missing(value):
        return ""
    if name == "seconds":
        return clock(value)
    if not isinstance(value, float):
        return labels.value_text(value)
    if name in ("epoch", "stage"):
        return f"{value:g}"
    if name == "p":
        return f"{value:.4f}" if value >= SMALLEST_P else f"below {SMALLEST_P}"
    text = labels.value_text(value)  # all digits: 123.4567 must not become 123.457
    if name in DECIMALS or f"{name} ±" in row or _measured(value) or even:
        text = f"{value:.{DECIMALS.get(name, 4)}f}"
    elif abs(value) < SMALLEST_MEASURED:
        text = f"{value:g}"
    return text if half is None or is_missing(half) else f"{text} ± {half:.4f}"


def fixed_point(value: Any, decimals: int) -> str:
    """Return a number with so many decimals, zero without a sign; missing ones empty."""
    return "" if is_missing(value) else f"{round(value, decimals) + 0.0:.{decimals}f}"


def clock(seconds: float) -> str:
    """Return a duration as `9h41`, `12m05` or `48s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 60}m{whole % 60:02d}" if whole >= 60 else f"{whole}s"


def _measured(value: float) -> bool:
    """Tell a measured value from a setting such as 0.1 or 5e-4: it has more than four decimals."""
    return math.isfinite(value) and abs(value) >= SMALLEST_MEASURED and round(value, 4) != value


def _plain(value: Any) -> Any:
    if is_missing(value):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def _csv(frame: pd.DataFrame) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([spreadsheet_cell(str(name)) for name in frame.columns])
    for row in frame.itertuples(index=False, name=None):
        writer.writerow(["" if is_missing(value) else spreadsheet_cell(value) for value in row])
    return stream.getvalue().rstrip("\n")
