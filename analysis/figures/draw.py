"""Drawing of computed panels: colours told apart by colour-blind readers and in grey, nothing overlapping."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.panel import Curve, Panel
from analysis.figures.style import COLORS, DASHES, SMALLEST, STYLE, Look, new_figure
from workbench.errors import InputError, RecordError
from workbench.names import LEARNING_RATE, lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

TRUNK, TRUNK_COLOR = "shared trunk", "#8c8c8c"
FORMATS = (".svg", ".png", ".pdf")
COLUMNS = 3
PANEL_INCHES = (4.4, 3.1)
NARROWEST = 2.4  # inches of a panel that is still readable
HANDLE = 3.4  # letters that the sample of a line in the legend takes
BORDER: Any = {"color": "#909090", "linewidth": 0.8, "linestyle": (0, (4, 3))}  # where a stage begins
# Where the rate drops or restarts.
BREAK: Any = {"color": "#b0b0b0", "linewidth": 0.7, "linestyle": (0, (1, 3))}


def draw(panels: Sequence[Panel], smooth: int = 0, look: Look | None = None) -> Figure:
    """Draw panels into a new figure with one legend below; raises `RecordError` when none has a curve."""
    look = look or Look()
    panels = [panel for panel in panels if panel.curves]
    if not panels:
        raise RecordError("no epochs to draw")
    columns = _columns(len(panels), look)
    rows = math.ceil(len(panels) / columns)
    lines = _line_styles(panels, look)
    width = look.width or max(columns * PANEL_INCHES[0], 5.2)
    handles = [*_line_handles(lines), *_mark_handles(panels)]
    wrapped, across, high = _legend_layout(handles, width, look.font_size - 0.5)
    tall = rows * (width / columns) * PANEL_INCHES[1] / PANEL_INCHES[0]
    # The legend's height first: it stands below the panels and must not take their room.
    with new_figure(width, tall + high + 0.3 + 0.3 * bool(look.title), look.settings) as figure:
        for number, panel in enumerate(panels, start=1):
            axis = figure.add_subplot(rows, columns, number)
            _draw_panel(axis, panel, lines, smooth)
        if look.title:
            figure.suptitle(
                textwrap.fill(look.title, _letters(width, look.font_size + 1.5)),
                fontsize=look.font_size + 1.5,
            )
        if wrapped:
            size = look.font_size - 0.5
            figure.legend(
                handles=wrapped, loc="outside lower center", ncols=across, fontsize=size, handlelength=HANDLE
            )
    return figure


def _columns(count: int, look: Look) -> int:
    """Return how many panels stand in a row: as asked for, or as many as are readable in the width."""
    if look.columns:
        return min(look.columns, count)
    most = COLUMNS if look.width is None else max(1, int(look.width / NARROWEST))
    return min(2 if count in (2, 4) else COLUMNS, count, most)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as SVG, PNG or PDF, by the file's ending; raises `InputError` for another."""
    import matplotlib

    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"cannot draw a {path.suffix or 'file without ending'}", where=path, expected=", ".join(FORMATS)
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(STYLE):
            figure.savefig(path, dpi=160)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=path) from error
    return path


def _line_styles(panels: Sequence[Panel], look: Look) -> dict[str, dict[str, Any]]:
    # A run that is nothing but the trunk of others is drawn as what it is, under one name.
    apart = [(panel.curves, _trunks(panel)) for panel in panels]
    names = dict.fromkeys(
        curve.label for curves, trunks in apart for curve in curves if _points(curve) not in trunks
    )
    colors = look.colors(len(names))
    period = len(COLORS)  # from here on colours come again, with other dashes
    looks: dict[str, dict[str, Any]] = {
        name: {"color": colors[n], "linestyle": DASHES[(n + n // period) % len(DASHES)]}
        for n, name in enumerate(names)
    }
    if any(curve.shared for panel in panels for curve in panel.curves):
        looks[TRUNK] = {"color": TRUNK_COLOR, "linestyle": "-"}
    return looks


def _draw_panel(axis: Axes, panel: Panel, looks: dict[str, dict[str, Any]], smooth: int) -> None:
    from matplotlib.ticker import MaxNLocator

    trunks, drawn = _trunks(panel), set()
    for curve in panel.curves:
        for part, label in _parts(curve):
            points = _points(part)
            if points in trunks:  # every branch brings it: its band, laid over itself, would hide the line
                if points in drawn:
                    continue
                label = TRUNK
                drawn.add(points)
            _draw_curve(axis, part, looks[label], smooth)
    first, last = panel.extent
    if last - first < 1:  # a single epoch: room on both sides, so that its tick is a whole number
        axis.set_xlim(first - 1, last + 1)
    axis.set_title(panel.title, loc="left")
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=2))
    _scale(axis, panel)
    for x in panel.breaks:
        axis.axvline(x, **BREAK, zorder=0.9)
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


def _points(curve: Curve) -> bytes:
    """Return what two curves share that lie on one another."""
    return curve.x.tobytes() + b"|" + curve.y.tobytes()


def _trunks(panel: Panel) -> set[bytes]:
    return {_points(part) for curve in panel.curves for part, label in _parts(curve) if label == TRUNK}


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
    here = {curve.label for curve in panel.curves} & looks.keys()
    previous = low
    for x, (name, runs) in sorted(panel.borders.items()):
        own = [run for run in runs if run in here]
        if not own:
            continue
        lonely = len(own) == 1 and len(here) > 1
        color = looks[own[0]]["color"] if lonely else BORDER["color"]
        axis.axvline(x, **{**BORDER, "color": color}, alpha=0.45 if lonely else 1, zorder=0.95)
        if named and name and x - previous > 0.055 * (high - low):
            _name_border(axis, panel, x, name)
            previous = x
    axis.set_xlim(low, high)


def _name_border(axis: Axes, panel: Panel, x: float, name: str) -> None:
    """Write a stage's name beside its border, where the curves are farther away; on white where they come close."""
    # As a share of the panel; a letter is .6 of its size wide.
    height = len(name) * 0.6 * SMALLEST / (72 * 0.7 * PANEL_INCHES[1])
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
    return axis.transAxes.inverted().transform(axis.transData.transform(np.concatenate(found)))[:, 1]


def _line_handles(looks: dict[str, dict[str, Any]]) -> list[Any]:
    """Return a legend entry a line; none where there is one line and no name for it."""
    from matplotlib.lines import Line2D

    if len(looks) == 1 and not next(iter(looks)):
        return []
    return [Line2D([], [], label=name, **look) for name, look in looks.items()]


def _mark_handles(panels: Sequence[Panel]) -> list[Any]:
    """Return the entries that say, once for the figure, what its dots, dashes, bands and crosses mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    curves = [curve for panel in panels for curve in panel.curves]
    drawn = any(panel.borders for panel in panels)
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4.2, "markeredgecolor": "white"}
    marks = {
        "best of its stage" if drawn else "best": (any(curve.best for curve in curves), dot),
        "a stage begins": (drawn, BORDER),
        "the rate drops or restarts": (any(panel.breaks for panel in panels), BREAK),
        "not finite": (any(curve.broken for curve in curves), {"marker": "x", "linestyle": ""}),
    }
    found: list[Any] = [
        Line2D([], [], label=name, **{"color": "#707070", **look})
        for name, (there, look) in marks.items()
        if there
    ]
    if any(curve.low is not None for curve in curves):
        found.append(Patch(color="#707070", alpha=0.3, label="range of the seeds"))
    return found


def _letters(width: float, size: float) -> int:
    """Return how many letters of a size in points a line of so many inches holds; a letter is .55 of its size."""
    return max(12, int((width - 0.3) * 72 / (0.55 * size)))


def _legend_layout(handles: list[Any], width: float, size: float) -> tuple[list[Any], int, float]:
    """Return the entries, long names on several lines so that none is cut off, their columns and inches of height."""
    if not handles:
        return [], 1, 0.0
    most = _letters(width, size) - 9  # beside the sample of the line
    for handle in handles:
        handle.set_label("\n".join(textwrap.wrap(str(handle.get_label()), most)))
    texts = [str(handle.get_label()).split("\n") for handle in handles]
    longest = max(len(line) for lines in texts for line in lines)
    across = max(1, min(len(handles), _letters(width, size) // (longest + 9)))
    rows = math.ceil(len(handles) / across)
    tallest = max(len(lines) for lines in texts)
    return handles, across, rows * tallest * size * 1.55 / 72
