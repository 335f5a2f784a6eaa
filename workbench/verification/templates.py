"""Images to templates: the pooling of the IJB protocols, in all eight readings at once.

A template is the images of one person, some of them frames of one video (a medium). The features of a
medium are averaged, those of the media summed, and the sum brought to length 1. Three switches say
what an image's feature is: N keeps its length (else it is brought to length 1), D multiplies it by the
detector's score, F adds the mirror image's embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.errors import DataError


class Reading(NamedTuple):
    """One setting of the three switches, written like N1D1F0."""

    norm: bool
    detector: bool
    mirrored: bool

    def __str__(self) -> str:
        return f"N{self.norm:d}D{self.detector:d}F{self.mirrored:d}"


READINGS = tuple(Reading(n, d, f) for n in (False, True) for d in (False, True) for f in (False, True))


class Members(NamedTuple):
    """Which image belongs to which template and medium, all [n]; an image may be in several templates."""

    images: np.ndarray  # rows of the embeddings
    templates: np.ndarray
    media: np.ndarray


class Pool:
    """Members sorted by template, with what every reading shares. `ids` are the template ids, ascending."""

    def __init__(self, members: Members, scores: np.ndarray) -> None:
        order = np.lexsort((members.media, members.templates))
        self.images = members.images[order]
        templates, media = members.templates[order], members.media[order]
        new_template = np.append(True, templates[1:] != templates[:-1])
        new_medium = new_template | np.append(True, media[1:] != media[:-1])
        self.starts = np.flatnonzero(new_template)
        self.ids = templates[self.starts]
        counts = np.diff(np.append(np.flatnonzero(new_medium), len(order)))
        self.share = np.repeat(1 / counts, counts)  # the mean over a medium, as a weight
        self.scores = np.asarray(scores, np.float64)[self.images]

    def rows(self, ids: np.ndarray, where: str) -> np.ndarray:
        """Return the rows of templates by id; raises `DataError` for ids without media."""
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        missing = np.unique(np.asarray(ids)[self.ids[places] != ids])
        if len(missing):
            raise DataError(
                f"template {missing[0]} has no media ({len(missing)} such templates)",
                where=where,
                expected="an image for each template",
            )
        return places.astype(np.int32)

    def pooled(self, plain: np.ndarray, mirrored: np.ndarray | None, reading: Reading) -> np.ndarray:
        """Return templates [T, d] float64 of length 1 from embeddings [N, d], under one reading.

        Worked on some thousand images at a time: memory is bounded by the templates themselves.
        """
        if reading.mirrored and mirrored is None:
            raise DataError(f"{reading} needs the mirror images' embeddings", expected="embeddings of both")
        result = np.empty((len(self.ids), plain.shape[1]))
        ends = np.append(self.starts[1:], len(self.images))
        low = 0
        # Whole templates, and one at least: a template may have more images than are taken at once.
        while low < len(self.ids):
            high = max(low + 1, int(np.searchsorted(ends, self.starts[low] + 8192, side="right")))
            members = slice(self.starts[low], ends[high - 1])
            features = plain[self.images[members]].astype(np.float64)
            if reading.mirrored:
                features += mirrored[self.images[members]]  # type: ignore[index]
            weights = self.share[members]
            if not reading.norm:
                weights = weights / np.linalg.norm(features, axis=1)
            if reading.detector:
                weights = weights * self.scores[members]
            features *= weights[:, None]
            result[low:high] = np.add.reduceat(features, self.starts[low:high] - self.starts[low], axis=0)
            low = high
        return result / np.linalg.norm(result, axis=1, keepdims=True)
