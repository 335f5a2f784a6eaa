"""ROC curves of folds: the mean of the folds' own curves, with one standard error as a band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.figures.draw import plain_logarithm
from analysis.figures.style import COLORS, new_figure
from analysis.tables.folded import Folded, roc_band

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc(results: Mapping[str, Folded], title: str = "") -> Figure:
    """Return TAR over FAR (logarithmic, from one impostor pair of a fold on) of each result by its name."""
    with new_figure(6.4, 4.6) as figure:
        axes = figure.subplots()
        for number, (name, folded) in enumerate(results.items()):
            far, tar, error = roc_band(folded)
            color = COLORS[number % len(COLORS)]
            label = f"{name}: {folded.mean:.4f} ± {folded.standard_error:.4f}"
            axes.plot(far, tar, color=color, label=label, drawstyle="steps-post")
            axes.fill_between(far, tar - error, tar + error, color=color, alpha=0.2, lw=0, step="post")
        axes.set(xscale="log", xlim=(far[0], 1), ylim=(None, 1.005), title=title)
        plain_logarithm(axes.xaxis)
        axes.set(xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)")
        axes.legend(loc="lower right", title="mean accuracy ± standard error; band: one standard error")
    return figure
