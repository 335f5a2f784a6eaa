"""The figures of a report: curves of a few runs, and where all of them lie when they are many."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures.curves import plot_curves
from analysis.figures.style import COLORS, STYLE, new_figure
from analysis.report.collect import Study
from analysis.report.page import Picture
from workbench.names import lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES_TOLD_APART = 7  # as many as there are colours: of more rows only the best are drawn
BINS = 30


def curves(study: Study) -> Picture:
    """Draw the curves of all rows, or of the best few where lines could not be told apart."""
    order = study.order()
    few = len(order) <= LINES_TOLD_APART
    chosen = sorted(order) if few else order[:LINES_TOLD_APART]
    runs = [run for position in chosen for run in study.runs()[position]]
    what = "All rows" if few else f"The best {len(chosen)} of {len(order)} rows by {study.metric}"
    return Picture(
        "curves", f"{what}, epoch by epoch.", svg(plot_curves(study.trained.only(runs), labels=study.names()))
    )


def distribution(study: Study) -> Picture:
    """Draw where the best values of all rows lie, with the baseline and all that may be the best."""
    values = study.frame[study.metric].to_numpy("float64")
    with new_figure(8.8, 3.2) as figure:
        left, right = figure.subplots(1, 2)
        _histogram(left, values[np.isfinite(values)], study)
        _ranks(right, study)
    caption = (
        f"Best {study.metric} of all {len(values)} rows: how many reach a value, and each by its rank with the "
        "95 % interval from its number of pairs."
    )
    return Picture("distribution", caption, svg(figure))


def _histogram(axis: Axes, values: np.ndarray, study: Study) -> None:
    axis.hist(values, bins=min(BINS, max(5, len(values) // 5)), color="#9ec5de", edgecolor="white")
    axis.set_xlabel(study.metric)
    axis.set_ylabel("rows")
    axis.set_title("all rows", loc="left")
    axis.set_ylim(top=1.15 * axis.get_ylim()[1])  # room for the baseline's name above the bars
    mark = float(study.frame[study.metric].iloc[study.baseline])
    if np.isfinite(mark):
        axis.axvline(mark, color=COLORS[4], linewidth=1.2)
        axis.annotate(
            "baseline",
            (mark, 0.97),
            xycoords=axis.get_xaxis_transform(),
            xytext=(3, 0),
            va="top",
            textcoords="offset points",
            fontsize=8,
            color=COLORS[4],
        )


def _ranks(axis: Axes, study: Study) -> None:
    from analysis.tables.verdicts import best_rows, interval

    rows = study.rows[study.metric]
    order = [position for position in study.order() if np.isfinite(rows[position].value)]
    rank = np.arange(1, len(order) + 1)
    values = np.array([rows[position].value for position in order])
    low, high = np.array([interval(rows[position]) for position in order]).T
    axis.fill_between(rank, low, high, color="#d9d9d9", linewidth=0)
    maybe = set(best_rows(rows, study.metric))
    best = np.array([position in maybe for position in order])
    axis.plot(rank[~best], values[~best], ".", markersize=3, color="#7a7a7a")
    axis.plot(
        rank[best],
        values[best],
        ".",
        markersize=5,
        color=COLORS[2],
        label="not distinguishable from the best",
    )
    axis.set_xlabel("rank")
    axis.set_title(f"{study.metric} by rank", loc="left")
    axis.legend(loc="lower right" if lower_is_better(study.metric) else "lower left", fontsize=8)


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; letters become outlines, so that it looks the same on every machine."""
    import matplotlib

    # A salt and no date: the same report has the same bytes.
    stream = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.fonttype": "path", "svg.hashsalt": "workbench"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
