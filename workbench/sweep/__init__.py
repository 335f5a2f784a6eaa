"""Searches of settings. `workbench.sweep(...)`, a room and a call in one, searches a sweep from Python."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """This package, which can be called: Python puts it under the name that the call has to have."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return importlib.import_module("workbench.api").sweep(*args, **options)


sys.modules[__name__].__class__ = _Room
