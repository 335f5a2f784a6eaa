"""Triplets, centers and distillation against NumPy, at random and at the edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import papers
import pytest

from workbench import Center, DistillEmbedding, DistillLogits, Triplet
from workbench.losses.metric import expected_positives
from workbench.spec.interfaces import Batch, Loss

pytestmark = pytest.mark.tensorflow

KINDS = ("cosine", "euclidean", "squared")
ORACLES = {
    "hard": papers.triplet_hard,
    "all": papers.triplet_all,
    "semi-hard": papers.triplet_semi_hard,
}


def value_and_slope(loss: Loss, x: np.ndarray, y: Any, **extra: Any) -> tuple[float, np.ndarray]:
    import tensorflow as tf

    layer = loss.layer(10, x.shape[1], len(x), **extra)
    inputs = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = layer(Batch(inputs, tf.constant(y, tf.int32), None))
    return float(value), tape.gradient(value, inputs).numpy()


def slopes(function: Any, at: np.ndarray) -> np.ndarray:
    result = np.zeros_like(at)
    for index in np.ndindex(*at.shape):
        up, down = at.copy(), at.copy()
        up[index] += 1e-6
        down[index] -= 1e-6
        result[index] = (function(up) - function(down)) / 2e-6
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mining", ORACLES)
def test_triplets_are_those_of_the_definition(mining: Any, kind: Any) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(9, 4)) * 3, rng.integers(0, 3, 9)
        found, slope = value_and_slope(Triplet(alpha=0.3, mining=mining, distance=kind), x, y)
        assert found == pytest.approx(ORACLES[mining](x, y, 0.3, kind), rel=1e-5, abs=1e-6)
        expected = slopes(lambda v, y=y: ORACLES[mining](v, y, 0.3, kind), x)
        np.testing.assert_allclose(slope, expected, rtol=5e-3, atol=2e-5)


@pytest.mark.parametrize("kind", ["euclidean", "squared"])
@pytest.mark.parametrize("mining", ORACLES)
def test_triplets_of_embeddings_as_they_are(mining: Any, kind: Any) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(9, 4)) * 2, rng.integers(0, 3, 9)
        loss = Triplet(alpha=6.0, mining=mining, distance=kind, normalise=False)
        found, slope = value_and_slope(loss, x, y)
        oracle = lambda v, y=y: ORACLES[mining](v, y, 6.0, kind, False)  # noqa: E731
        assert found == pytest.approx(oracle(x), rel=1e-5, abs=1e-5)
        np.testing.assert_allclose(slope, slopes(oracle, x), rtol=5e-3, atol=1e-4)


def test_all_pairs_is_the_batch_all_loss_of_keras_insightface() -> None:
    for seed, alpha in ((0, 0.35), (1, 0.1), (2, 1.5)):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
        found, slope = value_and_slope(Triplet(alpha=alpha, mining="all-pairs"), x, y)
        oracle = lambda v, y=y, alpha=alpha: papers.triplet_all_pairs(v, y, alpha)  # noqa: E731
        assert found == pytest.approx(oracle(x), rel=1e-5)
        np.testing.assert_allclose(slope, slopes(oracle, x), rtol=5e-3, atol=2e-5)


def test_a_near_zero_embedding_has_a_bounded_slope() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    x[0] *= 1e-9
    for loss in (Triplet(alpha=0.5), Triplet(alpha=0.5, mining="all-pairs")):
        assert np.abs(value_and_slope(loss, x, [0, 0, 1, 1])[1]).max() < 1000


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 2]])
@pytest.mark.parametrize("mining", ORACLES)
def test_one_identity_or_no_second_image_gives_no_loss_and_no_gradient(mining: Any, labels: Any) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    found, slope = value_and_slope(Triplet(mining=mining), x, labels)
    expected = ORACLES[mining](x, np.array(labels), 0.35, "cosine")
    assert found == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(slope).all()
    if labels != [0, 0, 1, 2]:
        assert found == 0.0
        assert not slope.any()


@pytest.mark.parametrize("mining", ORACLES)
def test_equal_images_give_finite_gradients(mining: Any) -> None:
    x = np.tile(np.random.default_rng(0).normal(size=(1, 3)), (4, 1))
    for kind in KINDS:
        found, slope = value_and_slope(Triplet(alpha=0.2, mining=mining, distance=kind), x, [0, 0, 1, 1])
        assert found == pytest.approx(0.2, abs=2e-6)
        assert np.isfinite(slope).all()


def test_triplets_compile_with_xla() -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)), np.arange(8) // 2
    for mining in ("hard", "all"):
        layer = Triplet(mining=mining).layer(4, 4, 8)
        compiled = tf.function(lambda a, b, layer=layer: layer(Batch(a, b, None)), jit_compile=True)
        found = compiled(tf.constant(x, tf.float32), tf.constant(y, tf.int32))
        assert float(found) == pytest.approx(ORACLES[mining](x, y, 0.35, "cosine"), rel=1e-5)


def test_expected_positives_is_the_share_that_random_batches_show() -> None:
    rng = np.random.default_rng(3)
    counts = np.array([1, 2, 3, 10, 40])
    labels = np.repeat(np.arange(5), counts)
    for batch in (2, 8, 30, 56):
        shares = []
        for _ in range(1000):
            drawn = rng.permutation(labels)[:batch]
            shares.append(np.mean([np.sum(drawn == one) > 1 for one in drawn]))
        assert expected_positives(counts, batch) == pytest.approx(np.mean(shares), abs=0.03)


def test_center_loss_and_its_centers_follow_the_definition() -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    layer, centers = Center(alpha=0.5).layer(4, 3, 6), np.zeros((4, 3))
    for _ in range(3):
        x, y = rng.normal(size=(6, 3)), np.array([0, 0, 0, 2, 3, 3])
        inputs = tf.constant(x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = layer(Batch(inputs, tf.constant(y, tf.int32), None))
        expected, moved = papers.center(x, y, centers, 0.5)
        assert float(value) == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(tape.gradient(value, inputs), 2 * (x - centers[y]) / x.size, rtol=1e-5)
        np.testing.assert_allclose(layer.state["centers"], moved, rtol=1e-5, atol=1e-7)
        centers = moved
    layer(Batch(inputs, tf.constant(y, tf.int32), None, training=False))
    np.testing.assert_allclose(layer.state["centers"], centers, rtol=1e-5, atol=1e-7)


def test_center_reads_the_old_centers_inside_a_graph_too() -> None:
    import tensorflow as tf

    layer = Center().layer(2, 2, 2)
    compiled = tf.function(lambda x, y: layer(Batch(x, y, None)))
    x, y = tf.constant([[2.0, 0.0], [0.0, 2.0]]), tf.constant([0, 1])
    assert float(compiled(x, y)) == pytest.approx(2.0)
    np.testing.assert_allclose(layer.state["centers"], [[0.5, 0.0], [0.0, 0.5]])


@pytest.mark.parametrize("size", [4, 6])
def test_embedding_distillation_is_the_distance_of_unit_vectors(size: int) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(5, size)), rng.normal(size=(5, 4)) * 9
    for distance, factor in (("cosine", 1.0), ("squared", 2.0)):
        layer = DistillEmbedding(distance=distance).layer(10, size, 5, teacher=4)
        assert len(layer.trainable_variables) == (size != 4)
        student = x @ layer.state["mapping"].numpy() if size != 4 else x
        expected = factor * np.mean([1 - papers.cosines([a], [b])[0, 0] for a, b in zip(student, t)])
        batch = Batch(
            tf.constant(x, tf.float32), tf.zeros(5, tf.int32), None, teacher=tf.constant(t, tf.float16)
        )
        assert float(layer(batch)) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        ({"distance": "squared", "normalise": False}, lambda x, t: ((x - t) ** 2).sum(1).mean()),
        ({"distance": "mse", "normalise": False}, lambda x, t: ((x - t) ** 2).mean()),
        ({"distance": "mse"}, lambda x, t: ((unit(x) - unit(t)) ** 2).mean()),
        ({"distance": "squared"}, lambda x, t: (2 - 2 * (unit(x) * unit(t)).sum(1)).mean()),
    ],
)
def test_distillation_of_embeddings_as_they_are_and_as_a_mean_square(settings: Any, formula: Any) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)) * 3
    layer = DistillEmbedding(**settings).layer(10, 4, 5, teacher=4)
    batch = Batch(*(tf.constant(v, tf.float32) for v in (x, np.zeros(5))), None, teacher=tf.constant(t))
    assert float(layer(batch)) == pytest.approx(formula(x, t), rel=1e-5)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_logits_distillation_is_the_formula() -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    z, t, y = rng.normal(size=(5, 7)) * 4, rng.normal(size=(5, 7)) * 4, rng.integers(0, 7, 5)
    for loss, e in ((DistillLogits(), 0.0), (DistillLogits(alpha=0.6, temperature=3.0), 0.1)):
        layer = loss.layer(7, 4, 5, teacher=7)
        labels = tf.constant(y, tf.int32)
        batch = Batch(None, labels, tf.constant(z, tf.float32), e, tf.constant(t, tf.float32), True, labels)
        expected = papers.distill_logits(z, y, t, loss.temperature, loss.alpha, e)
        assert float(layer(batch)) == pytest.approx(expected, rel=1e-5)


def test_a_teacher_alike_costs_nothing() -> None:
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4)), tf.float32)
    layer = DistillEmbedding().layer(10, 4, 5, teacher=4)
    assert float(layer(Batch(x, tf.zeros(5, tf.int32), None, teacher=3 * x))) == pytest.approx(0, abs=1e-6)
    assert math.isfinite(float(layer(Batch(0 * x, tf.zeros(5, tf.int32), None, teacher=x))))
