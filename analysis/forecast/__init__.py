"""Where is this curve going, and does anybody know? Public names are imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Curve": "analysis.forecast.curve",
    "Forecast": "analysis.forecast.forecaster",
    "ForecastWatcher": "analysis.forecast.watcher",
    "Others": "analysis.forecast.others",
    "Settings": "analysis.forecast.settings",
    "extrapolate": "analysis.forecast.hand",
    "forecast": "analysis.forecast.forecaster",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'analysis.forecast' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
