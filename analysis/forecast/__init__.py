"""Forecast final metrics with intervals. Public names are imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Curve": "analysis.forecast.curve",
    "Forecast": "analysis.forecast.forecaster",
    "ForecastStopping": "analysis.forecast.stopping",
    "CrossRunPrior": "analysis.forecast.cross_run_prior",
    "Settings": "analysis.forecast.settings",
    "extrapolate": "analysis.forecast.classic",
    "forecast": "analysis.forecast.forecaster",
}

_FORMER = {"ForecastWatcher": "ForecastStopping", "Others": "CrossRunPrior"}  # names of earlier releases

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    name = _FORMER.get(name, name)
    if name not in _WHERE:
        raise AttributeError(f"module 'analysis.forecast' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
