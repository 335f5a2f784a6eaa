"""Runs from Python: what `workbench.run`, `runs` and `find` give back, and how it shows itself."""

from __future__ import annotations

import importlib
from typing import Any


def api() -> Any:
    """Return `workbench.api`, which makes what stands here and is asked by it for `analysis` and for resumes."""
    return importlib.import_module("workbench.api")
