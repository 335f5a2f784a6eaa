"""Drawing of computed panels: colours told apart by colour-blind readers and in grey, nothing overlapping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.curves import Curve, Panel
from workbench.errors import InputError, RecordError
from workbench.names import LEARNING_RATE, lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008), without its yellow, in an order that alternates dark
# and light; with the dashes beside them lines are told apart in grey too
COLORS = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7")
DASHES = (
    "-",
    (0, (6, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1.2)),
    (0, (9, 2, 3, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
)
TRUNK, TRUNK_COLOR = "trunk, shared by its branches", "#8c8c8c"
FORMATS = (".svg", ".png", ".pdf")
COLUMNS = 3
PANEL_INCHES = (4.4, 3.1)
SMALLEST = 7  # points; nothing in a figure is written smaller
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "legend.frameon": False,
    "text.parse_math": False,  # names are text: a dollar in one begins no formula
    "lines.linewidth": 1.3,
}


def draw(panels: Sequence[Panel], smooth: int = 0) -> Figure:
    """Draw panels into a new figure with one legend below; raises `RecordError` when none has a curve."""
    import matplotlib
    from matplotlib.figure import Figure

    panels = [panel for panel in panels if panel.curves]
    if not panels:
        raise RecordError("no epochs to draw")
    columns = 2 if len(panels) in (2, 4) else min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    looks = _looks(panels)
    with matplotlib.rc_context(STYLE):
        width = max(columns * PANEL_INCHES[0], 5.2)
        figure = Figure(
            figsize=(width, rows * PANEL_INCHES[1] + 0.25 * len(looks) / max(columns, 1) + 0.3),
            layout="constrained",
        )
        for number, panel in enumerate(panels, start=1):
            axis = figure.add_subplot(rows, columns, number)
            _draw_panel(axis, panel, looks, smooth)
        _legend(figure, looks, width)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as SVG, PNG or PDF, by the file's ending; raises `InputError` for another."""
    import matplotlib

    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"cannot draw a {path.suffix or 'file without ending'}", where=path, expected=", ".join(FORMATS)
        )
    try:
        with matplotlib.rc_context(STYLE):
            figure.savefig(path, dpi=160)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=path) from error
    return path


def _looks(panels: Sequence[Panel]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(curve.label for panel in panels for curve in panel.curves)
    looks: dict[str, dict[str, Any]] = {
        name: {"color": COLORS[n % len(COLORS)], "linestyle": DASHES[(n + n // len(COLORS)) % len(DASHES)]}
        for n, name in enumerate(names)
    }
    if any(curve.shared for panel in panels for curve in panel.curves):
        looks[TRUNK] = {"color": TRUNK_COLOR, "linestyle": "-"}
    return looks


def _draw_panel(axis: Axes, panel: Panel, looks: dict[str, dict[str, Any]], smooth: int) -> None:
    from matplotlib.ticker import MaxNLocator

    for curve in panel.curves:
        for part, label in _parts(curve):
            _draw_curve(axis, part, looks[label], smooth)
    first, last = min(curve.x[0] for curve in panel.curves), max(curve.x[-1] for curve in panel.curves)
    if last - first < 1:  # a single epoch: room on both sides, so that its tick is a whole number
        axis.set_xlim(first - 1, last + 1)
    axis.set_title(panel.title, loc="left")
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=2))
    _scale(axis, panel)
    for x in panel.breaks:
        axis.axvline(x, color="#b0b0b0", linewidth=0.7, linestyle=(0, (1, 3)), zorder=0.9)
    _draw_borders(axis, panel, looks)
    if panel.reference:
        value, text = panel.reference
        axis.axhline(value, color="#606060", linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        place = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "bottom"}
        axis.text(0.995, value, text, fontsize=SMALLEST + 0.5, color="#404040", **place)


def _parts(curve: Curve) -> list[tuple[Curve, str]]:
    """Return a branch in two parts, what it shares with its trunk and its own; any other curve as it is."""
    own = curve.x >= curve.shared
    if not curve.shared or own.all() or not own.any():
        return [(curve, curve.label)]
    start = int(np.argmax(own))
    return [(_cut(curve, 0, start + 1), TRUNK), (_cut(curve, start, len(curve.x)), curve.label)]


def _cut(curve: Curve, first: int, end: int) -> Curve:
    """Return the points `first` to `end` of a curve; a best value on the border belongs to the first part."""
    low, high = curve.x[first], curve.x[end - 1]
    own = [position - first for position in curve.best if first + (first > 0) <= position < end]
    broken = [mark for mark in curve.broken if low < mark[0] <= high or (first == 0 and mark[0] <= high)]
    span = slice(first, end)
    edges = [None if edge is None else edge[span] for edge in (curve.low, curve.high)]
    return replace(
        curve, x=curve.x[span], y=curve.y[span], low=edges[0], high=edges[1], best=own, broken=broken
    )


def _draw_curve(axis: Axes, curve: Curve, look: dict[str, Any], smooth: int) -> None:
    color = look["color"]
    axis.plot(curve.x, curve.y, **({**look, "linewidth": 0.7, "alpha": 0.4} if smooth > 1 else look))
    alone = isolated(curve.y)
    axis.plot(curve.x[alone], curve.y[alone], ".", color=color, markersize=4)
    if smooth > 1:
        axis.plot(curve.x, running_mean(curve.y, smooth), **look)
    if curve.low is not None and curve.high is not None:
        there = np.isfinite(curve.y)
        axis.fill_between(curve.x, curve.low, curve.high, where=there, color=color, alpha=0.18, linewidth=0)
    dot = {"markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.6}
    axis.plot(curve.x[curve.best], curve.y[curve.best], "o", color=color, **dot)
    for x, y, text in curve.broken:
        _mark_broken(axis, x, y, text, color)


def _mark_broken(axis: Axes, x: float, y: float, text: str, color: str) -> None:
    """Put a cross and a word where a value was not finite: at the last finite value, else at the bottom."""
    height: dict[str, Any] = {"transform": axis.get_xaxis_transform()} if math.isnan(y) else {}
    y = 0.03 if math.isnan(y) else y
    cross = {"markersize": 6, "markeredgewidth": 1.6, "zorder": 4, "clip_on": False}
    axis.plot([x], [y], "x", color=color, **cross, **height)
    where = axis.get_xaxis_transform() if height else "data"
    offset = {"xytext": (4, 3), "textcoords": "offset points"}
    axis.annotate(text, (x, y), xycoords=where, fontsize=SMALLEST, color=color, **offset)


def isolated(values: np.ndarray) -> np.ndarray:
    """Return which values stand between gaps or ends, so that no line would show them."""
    finite = np.concatenate([[False], np.isfinite(values), [False]])
    return finite[1:-1] & ~finite[:-2] & ~finite[2:]


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return the centred mean over at most `width` values, narrower beside gaps and ends, so that it never
    lags and never bridges a gap."""
    result = np.full(len(values), np.nan)
    finite = np.isfinite(values)
    for position in np.flatnonzero(finite):
        reach = 0
        while reach < width // 2:
            low, high = position - reach - 1, position + reach + 1
            if low < 0 or high >= len(values) or not (finite[low] and finite[high]):
                break
            reach += 1
        result[position] = values[position - reach : position + reach + 1].mean()
    return result


def _scale(axis: Axes, panel: Panel) -> None:
    values = np.concatenate([curve.y[np.isfinite(curve.y)] for curve in panel.curves])
    if (
        panel.metric == LEARNING_RATE
        and values.size
        and values.min() > 0
        and values.max() > 20 * values.min()
    ):
        axis.set_yscale("log")
        plain_logarithm(axis.yaxis)
    elif values.size and lower_is_better(panel.metric) and panel.top is not None:
        axis.set_ylim(top=panel.top)


def plain_logarithm(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as they are: their usual form is a formula, and names are none here."""
    from matplotlib.ticker import FuncFormatter, LogFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


def _draw_borders(axis: Axes, panel: Panel, looks: dict[str, dict[str, Any]]) -> None:
    """Draw stage starts; a border of one run alone has its colour, and names stand where they fit.

    A name stands at the end of its border that the curves leave free; one that would touch another is left out.
    """
    low, high = axis.get_xlim()
    named = panel.metric != LEARNING_RATE  # its steps fill the whole height: names would lie on the line
    here = {curve.label for curve in panel.curves}
    previous = low
    for x, (name, runs) in sorted(panel.borders.items()):
        own = [run for run in runs if run in here]
        if not own:
            continue
        lonely = len(own) == 1 and len(here) > 1
        color = looks[own[0]]["color"] if lonely else "#909090"
        look: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 0.95}
        axis.axvline(x, color=color, alpha=0.45 if lonely else 1, **look)
        if named and name and x - previous > 0.055 * (high - low):
            _name_border(axis, panel, x, name)
            previous = x
    axis.set_xlim(low, high)


def _name_border(axis: Axes, panel: Panel, x: float, name: str) -> None:
    """Write a stage's name beside its border, where the curves are farther away; on white where they come close."""
    height = (
        len(name) * 0.6 * SMALLEST / (72 * 0.7 * PANEL_INCHES[1])
    )  # of the panel; a letter is .6 of its size
    heights = _heights(axis, panel, x, 0.05)
    below, above = (heights.min(), 1 - heights.max()) if len(heights) else (1.0, 1.0)
    top = bool(above > below)
    look: dict[str, Any] = {
        "rotation": 90,
        "ha": "left",
        "fontsize": SMALLEST,
        "color": "#505050",
        "zorder": 1,
    }
    look |= {"va": "top" if top else "bottom", "xytext": (1.5, 0), "textcoords": "offset points"}
    if max(above, below) < height + 0.04:
        look |= {"zorder": 3, "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}}
    axis.annotate(name, (x, 0.98 if top else 0.02), xycoords=axis.get_xaxis_transform(), **look)


def _heights(axis: Axes, panel: Panel, x: float, share: float) -> np.ndarray:
    """Return how high the curves lie from `x` on over a `share` of the panel, as shares of its height."""
    low, high = axis.get_xlim()
    ends = np.array([x, x + share * (high - low)])
    found = []
    for curve in panel.curves:
        known = np.isfinite(curve.y)
        xs, ys = curve.x[known], curve.y[known]
        if len(xs) and ends[1] >= xs[0] and ends[0] <= xs[-1]:
            at = np.concatenate([ends.clip(xs[0], xs[-1]), xs[(xs >= ends[0]) & (xs <= ends[1])]])
            found.append(np.column_stack([at, np.interp(at, xs, ys)]))
    if not found:
        return np.empty(0)
    places = axis.transAxes.inverted().transform(axis.transData.transform(np.concatenate(found)))
    heights: np.ndarray = places[:, 1]
    return heights


def _legend(figure: Figure, looks: dict[str, dict[str, Any]], width: float) -> None:
    from matplotlib.lines import Line2D

    if len(looks) == 1 and not next(iter(looks)):
        return
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    longest = max(len(name) for name in looks)
    columns = max(1, min(len(looks), int(width * 72 / ((longest + 8) * 4.9))))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8.5, handlelength=3.4)
