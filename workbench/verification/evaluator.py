"""An evaluation set made ready once and measured at each epoch: every distinct image embedded once.

Sets of the field repeat each image many times (LFW's 12,000 places hold 7,701 images). Images that are
equal byte by byte are embedded once, in one compiled call a batch of one fixed shape, each together
with its mirror image; the embedding of an image is the sum of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from workbench.data import decode, pair_files
from workbench.data.pipeline import normalise
from workbench.errors import DataError
from workbench.families import PairImages, PairSet, Places, Source
from workbench.verification import report, scoring

BATCH = 128  # images a call, at most


class Evaluation(NamedTuple):
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
        pixels = (
            pairs.pixels(size)
            if pairs.pixels is not None
            else decoded(pairs.encoded, size, name, pairs.names)
        )
        distinct, places = pair_files.once(list(pixels))
        self.pixels = pixels if len(distinct) == len(pixels) else np.stack(distinct)
        self.first, self.second = places[pairs.first], places[pairs.second]
        self.same = np.asarray(pairs.same, bool)
        few = report.no_folds(len(self.same), 10)
        self.fingerprint = pairs.fingerprint
        self.notes = (*pairs.notes, *([f"{name}: {few}"] if few else []))
        self._compiled: tuple[Any, Callable[..., Any]] | None = None  # of the model measured last

    @classmethod
    def open(cls, part: PairSet, where: Places, data: Source, size: int) -> Evaluator:
        """Return the evaluator of a set; raises `DataError` for one that is missing, empty or broken."""
        pairs = part.open(where, data)
        if not len(pairs.same):
            raise DataError("no pairs", where=part.label(), expected="at least one pair")
        return cls(part.label(), pairs, size)

    def embeddings(self, model: tf.keras.Model, mirrored: bool = True) -> np.ndarray:
        """Return float32 embeddings [N, d] of the distinct images, not normalised."""
        if self._compiled is None or self._compiled[0] is not model:
            self._compiled = (model, compiled(model))
        return embed(self._compiled[1], self.pixels, mirrored)

    def evaluate(self, model: tf.keras.Model) -> Evaluation:
        """Measure `model`, which takes float images [B, s, s, 3] in -1..1 and returns [B, d].

        Embeddings that are not finite, or zero, are reported: then there are no metrics, and the
        scores of their pairs are NaN. Pairs of one kind only give no accuracy, with the reason.
        """
        embeddings = self.embeddings(model)
        scores = scoring.cosines(embeddings, self.first, self.second)
        bad = scoring.unusable(embeddings)
        if bad is not None:
            return Evaluation({}, scores, f"{bad}; no accuracy")
        metrics, message = report.epoch_metrics(scores, self.same, self.name)
        return Evaluation(metrics, scores, message)


def compiled(model: tf.keras.Model) -> Callable[..., Any]:
    """Return a compiled function: uint8 images [B, s, s, 3], with their mirror images or not, to [B, d]."""

    @tf.function
    def both(images: tf.Tensor, mirrored: bool) -> tf.Tensor:
        inputs = normalise(images)
        if not mirrored:
            return tf.cast(model(inputs, training=False), tf.float32)
        outputs = tf.cast(model(tf.concat([inputs, inputs[:, :, ::-1]], axis=0), training=False), tf.float32)
        one, other = tf.split(outputs, 2)
        return one + other

    return both


def embed(
    function: Callable[..., Any], pixels: np.ndarray, mirrored: bool = True, batch: int = BATCH
) -> np.ndarray:
    """Return the embeddings [N, d] of `pixels`, in equal batches; the last one is filled up.

    Batches are as equal as they can be, so that hardly an image is embedded for nothing.
    """
    count = len(pixels)
    each = math.ceil(count / math.ceil(count / batch))
    parts = []
    for start in range(0, count, each):
        images = pixels[start : start + each]
        if len(images) < each:
            images = np.concatenate([images, np.zeros((each - len(images), *images.shape[1:]), images.dtype)])
        parts.append(function(tf.constant(images), mirrored))
    return np.concatenate([part.numpy() for part in parts])[:count]


def decoded(encoded: Sequence[Any], size: int, where: str, names: Sequence[str] = ()) -> np.ndarray:
    """Return uint8 [N, size, size, 3] of encoded images (bytes) and arrays; raises `DataError` naming a broken one."""
    result = np.empty((len(encoded), size, size, 3), np.uint8)
    plain = [number for number, image in enumerate(encoded) if not isinstance(image, bytes)]
    for number in plain:
        result[number] = decode.fit(tf.constant(encoded[number]), size).numpy()
    numbers = [number for number, image in enumerate(encoded) if isinstance(image, bytes)]
    if not numbers:
        return result
    rows = tf.data.Dataset.from_tensor_slices(tf.constant([encoded[number] for number in numbers]))
    rows = rows.map(
        lambda image: decode.fit(decode.decode(image), size), tf.data.AUTOTUNE, deterministic=True
    )
    done = 0
    try:
        for batch in rows.batch(256).as_numpy_iterator():
            result[numbers[done : done + len(batch)]] = batch
            done += len(batch)
    except tf.errors.InvalidArgumentError as error:
        raise _broken(encoded, numbers[done:], where, names) from error
    return result


def _broken(encoded: Sequence[Any], numbers: Sequence[int], where: str, names: Sequence[str]) -> DataError:
    """Return the error that names the first image that cannot be decoded."""
    for number in numbers:
        try:
            decode.decode(tf.constant(encoded[number]))
        except tf.errors.InvalidArgumentError:
            name = names[number] if number < len(names) else f"image {number}"
            return DataError(
                f"{name} cannot be decoded", where=where, expected="a complete JPEG, PNG, BMP or GIF",
                do="get the file again or leave the image out",
            )  # fmt: skip
    return DataError("an image cannot be decoded", where=where, expected="complete images")
