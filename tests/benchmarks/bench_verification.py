"""Verification: exact measures against sorting and scikit-learn, embedding, evaluation sets, search.

Everything runs on this machine's processor with a small network; figures are ratios of paired runs.
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from paired import Ratio, Row, compare, compare_measured, main, seconds

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from workbench.verification import search
from workbench.verification.report import report

MANY = 15_000_000
SIDE = 48


def scored(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(count) < 0.5
    scores = rng.standard_normal(count, np.float32) * np.float32(0.15) + np.float32(0.3) * same
    return np.clip(scores, -1, 1).astype(np.float32), same


def by_grid(scores: np.ndarray, same: np.ndarray) -> float:
    """The field's way: in each of ten folds, 400 thresholds on nine folds, and on the tenth as well."""
    folds = np.arange(len(scores)) * 10 // len(scores)
    thresholds = np.arange(-1, 1, 0.005)
    found = []
    for fold in range(10):
        train, test = folds != fold, folds == fold
        accuracies = [_counted(scores[train], same[train], t) for t in thresholds]
        measured = [_counted(scores[test], same[test], t) for t in thresholds]
        found.append(measured[int(np.argmax(accuracies))])
    return float(np.mean(found))


def _counted(scores: np.ndarray, same: np.ndarray, threshold: float) -> float:
    """Accuracy from the four counts, as the field's loops take them."""
    accepted = scores > threshold
    true_accepts = np.sum(np.logical_and(accepted, same))
    false_accepts = np.sum(np.logical_and(accepted, np.logical_not(same)))
    true_rejects = np.sum(np.logical_and(np.logical_not(accepted), np.logical_not(same)))
    false_rejects = np.sum(np.logical_and(np.logical_not(accepted), same))
    return float(true_accepts + true_rejects) / (true_accepts + true_rejects + false_accepts + false_rejects)


def _against_grid(scores: np.ndarray, same: np.ndarray) -> Ratio:
    """Calls of a few milliseconds are timed by the hundred: on a busy machine one alone says nothing."""

    def ours() -> float:
        return seconds(lambda: report(scores, same, plain_scores=scores), number=100) / 100

    report(scores, same, plain_scores=scores)
    return compare_measured(lambda: seconds(lambda: by_grid(scores, same)), ours, repeats=5)


def measures() -> list[Row]:
    from sklearn.metrics import roc_curve

    few, few_same = scored(6000)
    many, many_same = scored(MANY)
    ours = lambda: report(few, few_same, plain_scores=few)  # noqa: E731
    rows = [
        Row(
            "6,000 pairs: 400 thresholds in 10 folds / every measure",
            _against_grid(few, few_same),
            at_least=100,
        ),
        Row(
            "6,000 pairs: every measure / scikit-learn's roc_curve",
            compare(ours, lambda: roc_curve(few_same, few), number=20),
            at_most=3,
        ),
        Row(
            "15 million pairs: every measure / one numpy.sort",
            compare(lambda: report(many, many_same), lambda: np.sort(many), repeats=5),
            at_most=3,
        ),
    ]
    tracemalloc.start()
    report(many, many_same)
    peak = tracemalloc.get_traced_memory()[1] / many.nbytes
    tracemalloc.stop()
    note = "beyond scores and labels themselves"
    return [*rows, Row("15 million pairs: peak memory / the scores' own", peak, at_most=3, note=note)]


def network():
    """A network of the size that is trained on small machines: 48 x 48 pixels to 128 numbers."""
    import tensorflow as tf

    inputs = tf.keras.Input([SIDE, SIDE, 3])
    base = tf.keras.applications.MobileNet((SIDE, SIDE, 3), alpha=0.25, include_top=False, weights=None)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(128)(tf.keras.layers.Flatten()(base(inputs))))


def compared() -> tuple[Any, Any, np.ndarray]:
    """Return a network, an evaluator of pairs in which each of 1,024 images occurs 18 times, and the images."""
    from workbench.spec.interfaces import PairImages
    from workbench.verification.evaluator import Evaluator

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1024, SIDE, SIDE, 3), np.uint8)
    places = rng.permutation(np.repeat(np.arange(len(pixels)), 18)).reshape(-1, 2)
    same = rng.random(len(places)) < 0.5
    pairs = PairImages(encoded=list(pixels), first=places[:, 0], second=places[:, 1], same=same)
    return network(), Evaluator("bench", pairs, SIDE), pixels


def evaluation() -> list[Row]:
    import tensorflow as tf

    from workbench.verification.embedders import ImageSet
    from workbench.verification.models import from_keras

    model, evaluator, pixels = compared()

    @tf.function
    def bare(images: tf.Tensor) -> tf.Tensor:
        inputs = (tf.cast(images, tf.float32) - 127.5) / 128
        both = model(tf.concat([inputs, inputs[:, :, ::-1]], 0), training=False)
        one, other = tf.split(both, 2)
        return one + other

    def in_batches(call, images: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [call(tf.constant(images[i : i + 128])).numpy() for i in range(0, len(images), 128)]
        )

    def eager(images: tf.Tensor) -> tf.Tensor:
        inputs = (tf.cast(images, tf.float32) - 127.5) / 128
        one, other = tf.split(model(tf.concat([inputs, inputs[:, :, ::-1]], 0), training=False), 2)
        return one + other

    every = np.repeat(pixels, 18, axis=0)
    ours = lambda: evaluator.evaluate(model)  # noqa: E731
    images = ImageSet(range(len(pixels)), lambda size: pixels)
    embedder = from_keras(model, "bench")
    return [
        Row(
            "a set with each image 18 times: every occurrence in batches / ours",
            compare(lambda: in_batches(bare, every), ours, repeats=3),
            at_least=10,
        ),
        Row(
            "distinct images: an eager call a batch / ours",
            compare(lambda: in_batches(eager, pixels), ours),
            at_least=1.2,
        ),
        Row(
            "ours with all measures / bare compiled embedding of distinct images",
            compare(ours, lambda: in_batches(bare, pixels), repeats=15),
            at_most=1.1,
        ),
        Row(
            "images a second: embedder / bare compiled inference",
            compare(lambda: in_batches(bare, pixels), lambda: embedder.embed(images), repeats=15),
            at_least=0.95,
        ),
    ]


def gallery(count: int, people: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.arange(count) % people
    vectors = rng.standard_normal((people, 512), np.float32)[who] + rng.standard_normal(
        (count, 512), np.float32
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), who


def searching() -> list[Row]:
    vectors, _ = gallery(100_000, 1000)
    probes, _ = gallery(1000, 1000, seed=1)

    def product_and_partition() -> np.ndarray:
        return np.argpartition(probes @ vectors.T, -10, axis=1)[:, -10:]

    ours = lambda: search.exact(probes, vectors, 10)  # noqa: E731
    rows = [
        Row(
            "100,000 x 512, 1,000 probes, top 10: exact / product + partition",
            compare(ours, product_and_partition, repeats=5),
            at_most=1.3,
        )
    ]
    for count, people in ((1_000, 50), (100_000, 100)):
        rows += notebook(count, people)
    return rows


def notebook(count: int, people: int) -> list[Row]:
    """The notebook's comparison: approximate index, dot product and a linear SVM, by time a query."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.svm import LinearSVC

    vectors, who = gallery(count, people)
    rng = np.random.default_rng(2)
    chosen = rng.integers(0, count, 100)
    probes = (vectors[chosen] + 0.02 * rng.standard_normal((100, 512), np.float32)).astype(np.float32)
    exact = search.Index(vectors, approximate_above=None)
    graph: list[search.Index] = []
    built = seconds(lambda: graph.append(search.Index(vectors, approximate_above=0)))
    machine = (
        LinearSVC(dual=True)
        if count <= 10_000
        else SGDClassifier(loss="hinge", max_iter=1, tol=None, n_jobs=2)
    )
    fitted = seconds(lambda: machine.fit(vectors, who))
    right = float(np.mean(machine.predict(probes) == who[chosen]))
    size = f"{count:,} vectors"
    dot = lambda: exact.search(probes, 1)  # noqa: E731
    return [
        Row(
            f"{size}, 100 probes: dot product / index",
            compare(dot, lambda: graph[0].search(probes, 1)),
            note=f"HNSW built in {built:.1f} s, recall of the nearest {graph[0].recall(probes, 1):.3f}",
        ),
        Row(
            f"{size}, 100 probes: dot product / linear SVM",
            compare(dot, lambda: machine.predict(probes)),
            note=f"{type(machine).__name__}, {people} people, fitted in {fitted:.1f} s, {right:.3f} right",
        ),
    ]


def rows() -> list[Row]:
    return [*measures(), *evaluation(), *searching()]


if __name__ == "__main__":
    main(rows)
