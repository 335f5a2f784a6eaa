"""A few images of a source of data, as a network sees them: to compare exports on, and to show what a model takes."""

from __future__ import annotations

import numpy as np

from workbench.data import decode
from workbench.spec.datasets import Places
from workbench.spec.interfaces import Source


def spread(source: Source, where: Places, size: int, count: int) -> np.ndarray:
    """Return uint8 images [n, size, size, 3] of a source, spread evenly over its records; n is at most `count`."""
    opened = source.open(where)
    total = len(opened.labels)
    return decode.records(opened, np.linspace(0, total - 1, min(count, total)).astype(np.int64), size)
