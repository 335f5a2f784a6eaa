"""The confusion matrix of a classifier, and the accuracy of each class. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 2000  # classes of which a matrix is made: 16 MB


@dataclass(frozen=True)
class Confusion:
    """`counts[i, j]` images of class i were taken for class j; `names` are those of the classes."""

    counts: np.ndarray  # int [C, C]
    names: Sequence[str]

    @property
    def images(self) -> np.ndarray:
        """How many images each class has, [C]."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def accuracy(self) -> float:
        """The share of all images that were classified correctly."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))

    def per_class(self) -> list[dict[str, Any]]:
        """Return a row a class that has images: its name, images, accuracy and what it is taken for most."""
        rows = []
        for number in np.flatnonzero(self.images):
            row, images = self.counts[number], int(self.images[number])
            wrong = np.where(np.arange(len(row)) == number, -1, row)
            most = int(wrong.argmax())
            taken = wrong[most] > 0
            rows.append(
                {
                    "class": str(self.names[number]),
                    "images": images,
                    "accuracy": float(row[number] / images),
                    "taken_for": str(self.names[most]) if taken else None,
                    "times": int(wrong[most]) if taken else 0,
                }
            )
        return rows


def confusion(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Confusion:
    """Return the confusion of true `labels` [N] and `predicted` classes [N] among classes of `names`."""
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return Confusion(counts, names)
