"""A module that is imported when it is first used: how a part reaches TensorFlow only when called."""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """Stand in for the module `name` until one of its names is read.

    Use it beside a real import for type checkers:

        if TYPE_CHECKING:
            import tensorflow as tf
        else:
            tf = Lazy("tensorflow")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"Lazy({self._name!r})"
