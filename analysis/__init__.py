"""Comparison of runs: any record in, two tidy frames, then curves, tables and figures.

The public names are imported when they are first used, so that `import analysis` costs nothing and a
table never pays for a plotting library.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "extrapolate": "analysis.forecast.classic",
    "hist_plot_split": "analysis.plot",
    "choose_accuracy": "analysis.accuracies",
    "load": "analysis.sources",
    "Options": "analysis.sources",
    "Records": "analysis.frames",
    "plot_curves": "analysis.figures.curves",
    "save": "analysis.figures.draw",
    "summary": "analysis.tables.summary",
    "per_stage": "analysis.tables.summary",
    "render": "analysis.tables.render",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
