"""Pictures of a sweep: parallel coordinates, a slice for each setting, a heat map of two settings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.effects import Trials, borders, levels, text_of
from analysis.figures.style import SMALLEST, STYLE, new_figure
from analysis.frames import is_missing
from workbench.errors import InputError, suggestion
from workbench.names import badness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAIN = {**STYLE, "axes.grid": False}
MAP = "viridis"  # even to the eye, and in grey; read by colour-blind people
COLUMNS = 3
PANEL = (3.6, 2.7)  # inches


def position(data: Trials, setting: str) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Return each trial's place from 0 to 1 on a setting's axis (NaN where it does not apply), and ticks."""
    facts, column = data.record.facts["space"][setting], data.frame[setting]
    if "values" in facts:
        values = list(facts["values"])
        places = {value: number / max(1, len(values) - 1) for number, value in enumerate(values)}
        at = [math.nan if is_missing(value) else places.get(value, math.nan) for value in column]
        return np.array(at), [(places[value], text_of(value)) for value in values]
    low, high = float(facts["min"]), float(facts["max"])
    raw = np.array([math.nan if is_missing(value) else float(value) for value in column])
    log = facts.get("sampling") == "log"
    scale = np.log if log else np.asarray
    at = (scale(raw) - scale(low)) / (scale(high) - scale(low))
    whole = facts["kind"] == "Int"
    ticks = list(dict.fromkeys(round(tick) if whole else float(tick) for tick in borders(facts)))
    where = (scale(np.asarray(ticks, float)) - scale(low)) / (scale(high) - scale(low))
    return at, [(float(x), text_of(value)) for x, value in zip(where, ticks)]


def title(data: Trials) -> str:
    """Return what a picture of a sweep shows, with what is left out."""
    text = f"{data.record.name}: best {data.metric} up to epoch {data.epoch}, {len(data.frame)} trials"
    return text + (f" ({data.left_out} failed or shorter ones left out)" if data.left_out else "")


def parallel(data: Trials) -> Figure:
    """Draw one line a trial through its settings to its value; the best are dark and on top."""
    from matplotlib import colormaps

    axes = [*data.settings, None]
    ranks = data.frame["value"].rank(ascending=data.lower, method="first").to_numpy()
    shade = 1 - (ranks - 1) / max(1, len(ranks) - 1)  # 1: the best
    columns = [position(data, name) if name else _values(data) for name in axes]
    with new_figure(max(6.0, 1.7 * len(axes)), 4.2, PLAIN) as figure:
        axis = figure.add_subplot()
        colors = colormaps[MAP]
        jitter = np.linspace(-0.02, 0.02, len(ranks))  # so that lines through one choice can be told apart
        chosen = np.array([name is not None and _is_choice(data, name) for name in axes])
        for row in np.argsort(shade, kind="stable"):
            heights = np.array([places[row] for places, _ in columns]) + jitter[row] * chosen
            axis.plot(
                range(len(axes)),
                heights,
                color=colors(0.95 - 0.9 * shade[row]),
                linewidth=2.2 if ranks[row] == 1 else 1.0,
                alpha=0.35 + 0.6 * shade[row],
            )
        for x, (_, ticks) in enumerate(columns):
            _scale(axis, x, ticks)
        axis.set_xticks(range(len(axes)), [data.short[name] if name else data.metric for name in axes])
        axis.set_yticks([])
        axis.set_ylim(-0.06, 1.06)
        axis.set_xlim(-0.15, len(axes) - 0.4)
        axis.spines[:].set_visible(False)
        axis.set_title(f"{title(data)}; the darker, the better", loc="left")
    return figure


def _is_choice(data: Trials, setting: str) -> bool:
    return "values" in data.record.facts["space"][setting]


def _values(data: Trials) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Return the values' places on the last axis: good ones are high."""
    values = data.frame["value"].to_numpy(float)
    low, high = float(values.min()), float(values.max())
    width = high - low or 1.0
    at = (values - low) / width
    ticks = [(float(x), f"{low + x * width:.4g}") for x in (0, 0.5, 1)]
    return (1 - at, [(1 - x, text) for x, text in ticks]) if data.lower else (at, ticks)


def _scale(axis: Axes, x: float, ticks: list[tuple[float, str]]) -> None:
    axis.axvline(x, color="#808080", linewidth=0.8, zorder=0.9)
    for height, text in ticks:
        axis.annotate(
            text,
            (x, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALLEST,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
            zorder=4,
        )


def slices(data: Trials) -> Figure:
    """Draw the value against each setting alone: a point a trial, a bar at the mean of each level."""
    count = len(data.settings)
    rows = math.ceil(count / COLUMNS)
    columns = math.ceil(count / rows)
    with new_figure(max(5.0, columns * PANEL[0]), rows * PANEL[1] + 0.4) as figure:
        first: Any = None
        for number, setting in enumerate(data.settings, start=1):
            axis = figure.add_subplot(rows, columns, number, sharey=first)
            first = first or axis
            _slice(axis, data, setting)
            axis.set_title(data.short[setting], loc="left")
            if (number - 1) % columns == 0:
                axis.set_ylabel(data.metric)
        figure.suptitle(title(data), x=0.01, ha="left", fontsize=9.5)
    return figure


def _slice(axis: Axes, data: Trials, setting: str) -> None:
    at, ticks = position(data, setting)
    values = data.frame["value"].to_numpy(float)
    best = badness(values, data.lower).argmin()
    spread, margin = (0.025, 0.06) if _is_choice(data, setting) else (0.0, 0.01)
    places = at + np.linspace(-spread, spread, len(at))
    axis.plot(places, values, "o", color="#0072B2", markersize=4, alpha=0.65, markeredgewidth=0)
    axis.plot(places[best], values[best], "D", color="#D55E00", markersize=6)
    for _, own in data.frame.groupby(levels(data, setting)[1], observed=True):
        within = at[own.index.to_numpy()]
        ends = [within.min() - margin, within.max() + margin]
        axis.plot(ends, [own["value"].mean()] * 2, color="#000000", linewidth=1.6)
    axis.set_xticks([x for x, _ in ticks], [text for _, text in ticks])
    axis.set_xlim(-0.14, 1.14)


def heat(data: Trials, across: str, down: str) -> Figure:
    """Draw the mean value of two settings' levels as a map with its numbers, the best cell framed."""
    from matplotlib.patches import Rectangle

    names = {**{name: name for name in data.settings}, **{short: name for name, short in data.short.items()}}
    for given in (across, down):
        if given not in names:
            raise InputError(f"no setting {given!r} in this sweep", do=suggestion(given, data.short.values()))
    across, down = names[across], names[down]
    if across == down:
        raise InputError(f"{across} twice", expected="two settings")
    means, counts = table_of(data, across, down)
    size = (max(4.6, 1.0 * len(means.columns) + 2.2), max(2.8, 0.55 * len(means.index) + 1.6))
    with new_figure(*size, PLAIN) as figure:
        axis = figure.add_subplot()
        image = axis.imshow(means.to_numpy(float), cmap=MAP + ("_r" if data.lower else ""), aspect="auto")
        best = np.nanargmin(badness(means.to_numpy(), data.lower))
        y, x = divmod(int(best), len(means.columns))
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=2.5))
        _numbers(axis, image, means, counts)
        across_names = [name.replace(" to ", "\nto ") for name in means.columns]  # thirds of a range are long
        axis.set_xticks(range(len(means.columns)), across_names)
        axis.set_yticks(range(len(means.index)), means.index)
        axis.set_xlabel(data.short[across])
        axis.set_ylabel(data.short[down])
        figure.colorbar(image, ax=axis, label=f"mean {data.metric}")
        axis.set_title(title(data), loc="left", fontsize=8, wrap=True)
    return figure


def _numbers(axis: Axes, image: Any, means: pd.DataFrame, counts: pd.DataFrame) -> None:
    for y in range(len(means.index)):
        for x in range(len(means.columns)):
            value = means.iat[y, x]
            if is_missing(value):
                axis.text(x, y, "none", ha="center", va="center", fontsize=SMALLEST, color="#707070")
                continue
            shade = image.norm(value)
            light = shade > 0.6 if not image.get_cmap().name.endswith("_r") else shade < 0.4
            text = f"{value:.4f}\n({counts.iat[y, x]})"
            axis.text(
                x, y, text, ha="center", va="center", fontsize=8, color="#000000" if light else "#ffffff"
            )


def table_of(data: Trials, across: str, down: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the mean value and the number of trials of every pair of levels; empty pairs are missing."""
    (columns, one), (index, other) = levels(data, across), levels(data, down)
    keys = pd.DataFrame({"across": one, "down": other, "value": data.frame["value"]}).dropna()
    grouped = keys.groupby(["down", "across"], observed=True)["value"]
    means = grouped.mean().unstack().reindex(index=index, columns=columns)
    counts = grouped.size().unstack().reindex(index=index, columns=columns).fillna(0).astype(int)
    return means, counts
