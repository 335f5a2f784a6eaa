"""The figure of a forecast: the curve, its fan, the back-tests behind it, stage borders, the last value."""

from __future__ import annotations

import contextlib
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.draw import PANEL_INCHES
from analysis.figures.style import COLORS, SMALLEST, new_figure
from analysis.forecast.classic import extrapolate
from analysis.forecast.curve import Curve
from analysis.forecast.forecaster import FORECAST
from analysis.forecast.lr_effects import breaks
from analysis.forecast.ranking import Recommendation
from analysis.forecast.settings import DEFAULT
from workbench.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEEN, AHEAD, BACKTEST, TRUTH = COLORS[0], COLORS[2], COLORS[4], "#7a7a7a"
BY_HAND = {  # colour and style of each classic extrapolation
    "cubic": (COLORS[1], "--"),
    "ratio": (COLORS[3], "-."),
    "closed": (COLORS[6], ":"),
    "exponential": ("#8B4513", "--"),
}
MOST = 12  # panels
TITLE = 50  # characters of a line above a panel; one panel alone is wider


def fan_chart(
    recommended: Sequence[Recommendation], truth: Sequence[Curve] = (), by_hand: bool = False
) -> Figure:
    """Draw one panel a forecast (at most twelve, in the order given) into a new figure.

    `truth` are curves of the same runs that know more: what really came is drawn in grey. `by_hand` draws the
    four extrapolations of `classic` beside the forecast, each where it can be made.
    """
    truth_of = {curve.run: curve for curve in truth}
    # More panels than this are not a figure; the legend says how many there are.
    shown = list(recommended)[:MOST]
    columns = min(3, len(shown)) if len(shown) != 4 else 2
    rows = math.ceil(len(shown) / columns)
    wide = 1.55 if len(shown) == 1 else 1.0
    tall = rows * PANEL_INCHES[1] * (1.2 if wide > 1 else 1) + 0.4
    with new_figure(columns * PANEL_INCHES[0] * wide, tall) as figure:
        axes = [figure.add_subplot(rows, columns, number + 1) for number in range(len(shown))]
        for axis, one in zip(axes, shown, strict=True):
            _panel(axis, one, truth_of.get(one.forecast.curve.run), TITLE if columns > 1 else 84, by_hand)
        _legend(figure, shown, bool(truth_of), len(recommended), columns * wide, by_hand)
    return figure


def _panel(
    axis: Axes, recommended: Recommendation, truth: Curve | None, limit: int, by_hand: bool = False
) -> None:
    from matplotlib.ticker import MaxNLocator

    forecast, curve = recommended.forecast, recommended.forecast.curve
    values = np.asarray(curve.values, dtype=float)
    axis.plot(curve.numbers, values, color=SEEN, linewidth=1.4, zorder=3)
    if forecast.known:
        _future(axis, recommended)
        _backtests(axis, recommended)
    if by_hand:
        _classic(axis, recommended)
    if truth is not None:
        _draw_truth(axis, truth, curve.last)
    axis.set_ylim(*_limits(recommended, values, truth))
    _borders(axis, recommended)
    if recommended.target is not None:
        _line(axis, recommended.target, f"to beat: {recommended.target:.4g}")
    name = curve.name or curve.run
    # On lines of their own where they are long: what does not fit the panel would lie on its neighbour.
    lines = [line for text in (name, _words(recommended)) for line in textwrap.wrap(text, limit)]
    axis.set_title("\n".join(lines), loc="left", fontsize=8.5)
    axis.set_xlabel("epoch")
    axis.set_ylabel(curve.metric)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _classic(axis: Axes, recommended: Recommendation) -> None:
    """Draw each classic extrapolation from the last value to the forecast's end; one that fails is left out."""
    forecast = recommended.forecast
    values = np.asarray(forecast.curve.values, dtype=float)
    values = values[np.isfinite(values)]
    count = int(forecast.to) - forecast.curve.last
    for method, (color, style) in BY_HAND.items():
        with contextlib.suppress(DataError):
            ahead = extrapolate(values, max(count, 0), method)
            epochs = forecast.curve.last + np.arange(len(ahead) + 1)
            axis.plot(
                epochs,
                [values[-1], *ahead],
                color=color,
                linestyle=style,
                linewidth=1.2,
                zorder=2.6,
                gid=method,
            )


def _draw_truth(axis: Axes, truth: Curve, since: int) -> None:
    numbers = np.array(truth.numbers)
    later = numbers >= since
    values = np.asarray(truth.values, dtype=float)
    axis.plot(numbers[later], values[later], color=TRUTH, linewidth=1.1, zorder=2.8)


def _words(recommended: Recommendation) -> str:
    forecast = recommended.forecast
    if forecast.verdict != FORECAST:
        return f"no forecast: {forecast.reason}"
    low, high = forecast.interval(0.8)
    words = f"epoch {forecast.to}: {forecast.median[-1]:.4g} (80 %: {low[-1]:.4g} to {high[-1]:.4g})"
    return words if math.isnan(recommended.chance) else f"{words}, chance {recommended.chance:.0%}"


def _future(axis: Axes, recommended: Recommendation) -> None:
    forecast = recommended.forecast
    start, value = forecast.curve.last, float(forecast.curve.values[-1])
    epochs = np.concatenate([[start], forecast.epochs])
    for share, alpha in ((0.8, 0.18), (0.5, 0.28)):
        low, high = (np.concatenate([[value], end]) for end in forecast.interval(share))
        axis.fill_between(epochs, low, high, color=AHEAD, alpha=alpha, linewidth=0, zorder=1.5)
    solid = "-" if forecast.verdict == FORECAST else (0, (1, 2))
    middle = np.concatenate([[value], forecast.median])
    axis.plot(epochs, middle, color=AHEAD, linewidth=1.6, linestyle=solid, zorder=2.5)
    axis.hlines(value, start, forecast.to, color="#808080", linewidth=0.8, linestyle=(0, (1, 2)), zorder=2)


def _backtests(axis: Axes, recommended: Recommendation) -> None:
    rows = recommended.forecast.backtests
    for origin in np.unique(rows[:, 0]):
        part = rows[rows[:, 0] == origin]
        axis.plot(part[:, 1], part[:, 2], color=BACKTEST, linewidth=0.8, alpha=0.75, zorder=2.2)
        axis.plot(part[:1, 1], part[:1, 2], ".", color=BACKTEST, markersize=3.5, zorder=2.3)


def _limits(recommended: Recommendation, values: np.ndarray, truth: Curve | None) -> tuple[float, float]:
    """Return limits that show the fan and the later two thirds of the curve; a steep start may leave them."""
    forecast = recommended.forecast
    late = values[np.isfinite(values)][len(values) // 3 :]
    shown = [late]
    if forecast.known:
        shown += [np.concatenate(forecast.interval(0.8)), forecast.backtests[:, 2]]
    if truth is not None:
        shown.append(np.asarray(truth.values, dtype=float)[len(values) // 3 :])
    if recommended.target is not None:
        shown.append(np.array([recommended.target]))
    every = np.concatenate(shown)
    finite = every[np.isfinite(every)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    early = values[np.isfinite(values)]
    if len(early) and np.ptp(early) < 2.2 * (high - low):
        low, high = min(low, float(early.min())), max(high, float(early.max()))
    room = 0.06 * (high - low or abs(high) or 1.0)
    return low - room, high + room


BORDERS = {"stage starts": (0, (4, 3)), "rate breaks": (0, (1, 3))}  # kinds of borders, and their dashes


def _border_epochs(curve: Curve) -> dict[str, set[int]]:
    """Return the epochs that begin a stage, and the others at which the rate breaks, by the kinds of `BORDERS`."""
    stages = {epoch for epoch in curve.stages if epoch > curve.first}
    rates = np.asarray(curve.rates, dtype=float)
    drops = (
        {curve.first + index for index in breaks(rates, DEFAULT.border_ratio)} - stages
        if len(rates)
        else set()
    )
    return dict(zip(BORDERS, (stages, drops)))


def _borders(axis: Axes, recommended: Recommendation) -> None:
    for kind, epochs in _border_epochs(recommended.forecast.curve).items():
        for epoch in epochs:
            axis.axvline(epoch - 0.5, color="#909090", linewidth=0.8, linestyle=BORDERS[kind], zorder=0.95)


def _line(axis: Axes, value: float, text: str) -> None:
    axis.axhline(value, color=COLORS[5], linewidth=1.0, linestyle=(0, (5, 2)), zorder=1)
    where: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "ha": "left", "va": "bottom"}
    axis.text(0.01, value, text, fontsize=SMALLEST, color=COLORS[5], **where)


def _legend(
    figure: Figure, shown: Sequence[Recommendation], with_truth: bool, count: int, width: float, by_hand: bool
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=SEEN, label="seen"),
        Line2D([], [], color=AHEAD, label="median"),
        Patch(color=AHEAD, alpha=0.45, label="50 %"),
        Patch(color=AHEAD, alpha=0.18, label="80 %"),
        Line2D([], [], color=BACKTEST, linewidth=0.8, label="back-tests"),
        Line2D([], [], color="#808080", linewidth=0.8, linestyle=(0, (1, 2)), label="last value"),
    ]
    for kind, style in BORDERS.items():
        if any(_border_epochs(one.forecast.curve)[kind] for one in shown):
            handles.append(Line2D([], [], color="#909090", linewidth=0.8, linestyle=style, label=kind))
    if with_truth:
        handles.insert(1, Line2D([], [], color=TRUTH, linewidth=1.1, label="what came"))
    if by_hand:
        handles += [Line2D([], [], color=c, linestyle=s, label=method) for method, (c, s) in BY_HAND.items()]
    columns = len(handles) if width > 2.5 else 5
    title = f"the first {MOST} of {count}" if len(shown) < count else None
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, title=title)
