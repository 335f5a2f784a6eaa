"""An evaluation set made ready once and measured at each epoch: every distinct image embedded once.

Sets of the field repeat each image many times (LFW's 12,000 places hold 7,701 images). Images that are
equal byte by byte are embedded once, in one compiled call a batch of one fixed shape, each together
with its mirror image; the embedding of an image is the sum of both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from workbench.data import pair_files
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.spec.interfaces import PairImages, PairSet, Places, Source
from workbench.verification import models, pair_sets, report, scoring
from workbench.verification.embedders import Embedder, ImageSet


class Measured(NamedTuple):
    """One measurement of a set: metrics by recorded name, cosine of each pair [P], what to say."""

    metrics: dict[str, float]
    scores: np.ndarray
    message: str | None


class Evaluator:
    """The pairs of one evaluation set with their pixels in memory, at the input size of one model.

    `pixels` is uint8 [N, s, s, 3] of the distinct images; `first`, `second` (int, [P]) are places in it.
    """

    def __init__(self, name: str, pairs: PairImages, size: int) -> None:
        self.name, self.pairs, self.size = name, pairs, size
        pixels = pair_sets.image_set(pairs, name).pixels(size)
        # Files that differ may decode to one picture, and drawn pairs were not looked through at all.
        distinct, places = pair_files.once(list(pixels))
        self.pixels = pixels if len(distinct) == len(pixels) else np.stack(distinct)
        self.first, self.second = places[pairs.first], places[pairs.second]
        self.same = np.asarray(pairs.same, bool)
        few = report.no_folds(len(self.same), 10)
        self.fingerprint, self.held_out = pairs.fingerprint, pairs.held_out
        self.images = ImageSet(range(len(self.pixels)), lambda size: self.pixels, pairs.fingerprint)  # type: ignore[arg-type]
        self.notes = (*pairs.notes, *([f"{name}: {few}"] if few else []))
        self._network: tuple[Any, Embedder] | None = None  # the model measured last, compiled

    @classmethod
    def open(cls, part: PairSet, where: Places, data: Source, size: int) -> Evaluator:
        """Return the evaluator of a set; raises `DataError` for one that is missing, empty or broken."""
        pairs = part.open(where, data)
        if not len(pairs.same):
            raise DataError("no pairs", where=part.label(), expected="at least one pair")
        return cls(part.label(), pairs, size)

    def embeddings(self, model: tf.keras.Model) -> np.ndarray:
        """Return float32 embeddings [N, d] of the distinct images and their mirror images, summed."""
        if self._network is None or self._network[0] is not model:
            self._network = (model, models.from_keras(model, self.name, self.size))
        return self._network[1].embed(self.images).summed

    def evaluate(self, model: tf.keras.Model) -> Measured:
        """Measure `model`, which takes float images [B, s, s, 3] in -1..1 and returns [B, d].

        Embeddings that are not finite, or zero, are reported: then there are no metrics, and the
        scores of their pairs are NaN. Pairs of one kind only give no accuracy, with the reason.
        """
        embeddings = self.embeddings(model)
        scores = scoring.cosines(embeddings, self.first, self.second)
        bad = scoring.unusable(embeddings)
        if bad is not None:
            return Measured({}, scores, f"{bad}; no accuracy")
        metrics, message = report.epoch_metrics(scores, self.same, self.name)
        return Measured(metrics, scores, message)
