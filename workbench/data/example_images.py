"""A few images of a source of data, as a network sees them: to compare exports on, and to show what a model takes."""

from __future__ import annotations

import numpy as np

from workbench.data import decode
from workbench.spec.datasets import Places
from workbench.spec.interfaces import Source


def evenly(total: int, count: int) -> np.ndarray:
    """Return at most `count` of the numbers 0 to `total` - 1, each once, spread evenly: int64, ascending."""
    return np.linspace(0, total - 1, min(count, total)).astype(np.int64)


def spread(source: Source, where: Places, size: int, count: int) -> np.ndarray:
    """Return uint8 images [n, size, size, 3] of a source, spread evenly over its records; n is at most `count`."""
    opened = source.open(where)
    return decode.records(opened, evenly(len(opened.labels), count), size)
