"""What a figure of curves shows: computed in `analysis.figures.curves`, drawn in `analysis.figures.draw`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Curve:
    """One line of one panel. `x` are epochs, a NaN in `y` is a gap; `low` and `high` bound a band of seeds.

    `best` are the positions of each stage's best value; `broken` (x, y, text) the values that are not
    finite, at the height of the last finite one. Up to `shared` (an epoch) it is its trunk's curve.
    """

    run: str
    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    best: list[int] = field(default_factory=list)
    broken: list[tuple[float, float, str]] = field(default_factory=list)
    seeds: int = 1
    shared: float = 0.0


@dataclass
class Panel:
    """What one axis shows: curves of one metric that can be compared, borders of stages and rates."""

    metric: str
    title: str
    curves: list[Curve]
    borders: dict[float, tuple[str, list[str]]] = field(default_factory=dict)  # x: (name, labels of runs)
    breaks: list[float] = field(default_factory=list)
    reference: tuple[float, str] | None = None
    top: float | None = None

    @property
    def extent(self) -> tuple[float, float]:
        """The first and the last epoch of its curves; 0 and 0 where there are none."""
        if not self.curves:
            return 0.0, 0.0
        return min(curve.x[0] for curve in self.curves), max(curve.x[-1] for curve in self.curves)
