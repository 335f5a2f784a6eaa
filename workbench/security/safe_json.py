"""Reads JSON that someone else made: what is nested beyond Python's own stack is an error like any other of JSON."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """Return what a JSON text holds; raises `ValueError` for one that is none, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
