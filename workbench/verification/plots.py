"""Figures of verification: ROC, scores of either kind, similarity matrix, contact sheet of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENUINE, IMPOSTOR, INK = "#1f77b4", "#d9662b", "#333333"
DPI = 150
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # keeps a text clear of lines


def save(figure: Figure, path: Path) -> Path:
    """Write a figure and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, bbox_inches="tight")
    return path


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], lowest: float = 1e-6, title: str = "") -> Figure:
    """Return TAR over FAR (logarithmic, from `lowest` on) for curves by name, each (FAR, TAR)."""
    figure = _figure(7, 5)
    axes = figure.subplots()
    least = 1.0
    for name, (far, tar) in curves.items():
        seen = far >= lowest
        axes.plot(far[seen], tar[seen], lw=1.4, label=name)
        least = min(least, *tar[seen])
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(max(0, least - 0.05), 1.005), title=title)
    axes.set(xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)")
    axes.grid(alpha=0.3, which="major")
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return figure


def scores(values: np.ndarray, same: np.ndarray, thresholds: Mapping[str, float], title: str = "") -> Figure:
    """Return how genuine and impostor scores [n] are spread, with named thresholds."""
    figure = _figure(7, 4)
    axes = figure.subplots()
    edges = np.linspace(float(values.min()), float(values.max()), 60)
    for kind, name, color in ((~same, "impostor", IMPOSTOR), (same, "genuine", GENUINE)):
        if kind.any():
            label = f"{name} ({kind.sum():,})"
            axes.hist(values[kind], bins=list(edges), density=True, alpha=0.55, color=color, label=label)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * (1.06 + 0.07 * len(thresholds)))
    for row, (name, threshold) in enumerate(sorted(thresholds.items(), key=lambda item: item[1])):
        axes.axvline(threshold, color=INK, lw=1, ls="--")
        axes.text(
            threshold,
            top * (1.03 + 0.07 * row),
            f" {name} {threshold:.3f}",
            fontsize=8,
            color=INK,
            bbox=BEHIND,
        )
    axes.set(xlabel="cosine", ylabel="density", title=title)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return figure


def matrix(
    similarity: np.ndarray, names: Sequence[str], pictures: np.ndarray | None = None, title: str = ""
) -> Figure:
    """Return cosines [N, N] as a picture with numbers, the images (uint8 [N, s, s, 3]) beside them."""
    count = len(names)
    size = max(4.5, 0.8 * count + 2)
    figure = _figure(size, size * 0.9)
    axes = figure.subplots()
    others = similarity[~np.eye(count, dtype=bool)]  # the diagonal is 1 and would hide the rest
    low, high = float(others.min()), float(others.max())
    axes.imshow(similarity, cmap="Blues", vmin=low, vmax=high + 0.1 * max(high - low, 1e-3))
    digits = 2 if high - low > 0.1 else 3
    for row in range(count):
        for column in range(count):
            value = similarity[row, column]
            color = "white" if value > low + 0.6 * (high - low) else INK
            axes.text(column, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(count), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(count), names, fontsize=8)
    axes.set_title(title)
    for place, picture in enumerate(pictures[:count] if pictures is not None else ()):
        above = axes.inset_axes((place - 0.45, -1.45, 0.9, 0.9), transform=axes.transData)
        above.imshow(picture)
        above.axis("off")
    if pictures is not None:
        axes.set_title(title, pad=72 * 0.82)
    return figure


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[tuple[np.ndarray, np.ndarray, str]]]], columns: int = 4
) -> Figure:
    """Return sections of image pairs: each is a heading and (left, right, caption), images uint8 [h, w, 3]."""
    lines = [max(1, -(-len(pairs) // columns)) for _, pairs in rows]
    figure = _figure(2.6 * columns, sum(1.8 * n + 0.35 for n in lines))
    parts = figure.subfigures(len(rows), 1, height_ratios=[n + 0.2 for n in lines], squeeze=False)[:, 0]
    for part, (heading, pairs), count in zip(parts, rows, lines, strict=True):
        part.suptitle(heading, fontsize=10, x=0.01, ha="left", fontweight="bold")
        places = part.subplots(count, columns, squeeze=False).ravel()
        for place in places:
            place.axis("off")
        for place, (left, right, caption) in zip(places, pairs, strict=False):
            place.imshow(np.concatenate([left, np.full((len(left), 2, 3), 255, np.uint8), right], axis=1))
            place.set_title(caption, fontsize=7, color=INK, pad=2)
    return figure
