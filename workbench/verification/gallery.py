"""Known people: one vector a person, a threshold calibrated on them, and who is on an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.errors import DataError
from workbench.verification.measures import TarAtFar, tar_at_far
from workbench.verification.scoring import normalised
from workbench.verification.search import Index
from workbench.verification.sorted_scores import SortedScores


class Answer(NamedTuple):
    """Who an image shows: the nearest person, the cosine, and whether it reaches the threshold."""

    person: str
    score: float
    known: bool


class Gallery:
    """People by the mean direction of their images; embeddings [N, d] and a name for each of them."""

    def __init__(self, embeddings: np.ndarray, names: Sequence[str]) -> None:
        if not len(names) or len(names) != len(embeddings):
            raise DataError(
                f"{len(embeddings)} embeddings of {len(names)} names",
                expected="a name for each, one at least",
            )
        self._unit = normalised(embeddings)
        if np.isnan(self._unit).any():
            raise DataError(
                "embeddings without a direction among known people", expected="finite vectors other than zero"
            )
        self.people, self._who = np.unique(np.asarray(names, np.str_), return_inverse=True)
        self._sums = np.zeros((len(self.people), embeddings.shape[1]), np.float32)
        np.add.at(self._sums, self._who, self._unit)
        self.index = Index(self._sums)

    def calibrated(self, fpir: float) -> TarAtFar:
        """Return the threshold at which a share `fpir` of strangers is taken for somebody known.

        Each known image plays a stranger to all other people, and itself to its own person's other
        images; its TAR is the share of those that pass. Raises `DataError` for fewer than two people.
        """
        if len(self.people) < 2:
            raise DataError(f"{len(self.people)} known person", expected="at least two, to tell strangers by")
        products = self._unit @ normalised(self._sums).T
        rows = np.arange(len(self._unit))
        counts = np.bincount(self._who)[self._who]
        others = self._sums[self._who] - self._unit
        # An image is compared with its person's other images: with itself among them it would always pass. Who has one
        # image only plays a stranger and nothing else.
        own = np.einsum("nd,nd->n", normalised(others), self._unit)[counts > 1]
        products[rows, self._who] = -np.inf
        scores = np.concatenate([own, products.max(axis=1)])
        return tar_at_far(SortedScores(scores, np.arange(len(scores)) < len(own)), fpir)

    def identify(self, embeddings: np.ndarray, threshold: float) -> list[Answer]:
        """Return the answer for each of `embeddings` [P, d]."""
        found = self.index.search(embeddings, 1)
        return [
            Answer(str(self.people[number]), float(score), bool(score >= threshold))
            for score, number in zip(found.scores[:, 0], found.numbers[:, 0], strict=True)
        ]
