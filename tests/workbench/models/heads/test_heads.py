"""Heads against NumPy: logits, the hand-written gradient, sub-centers, sampled identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench import ArcFace, Dense, Euclidean, Normalised, Sampled, SubCenter
from workbench.spec.interfaces import Head

pytestmark = pytest.mark.tensorflow

B, D, C = 6, 5, 11


def sample(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(B, D)) * 4, rng.integers(0, C, B)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def logits(head: Head, x: np.ndarray, training: bool = True) -> tuple[np.ndarray, Any]:
    import tensorflow as tf

    layer = head.layer(C, D)
    found, targets = layer(tf.constant(x, tf.float32), tf.constant(sample()[1], tf.int32), training=training)
    np.testing.assert_array_equal(targets, sample()[1])
    return found.numpy(), layer


def test_full_heads_are_their_formulas() -> None:
    x, _ = sample()
    found, layer = logits(Dense(), x)
    layer.state["bias"].assign(np.arange(C))
    w = layer.state["kernel"].numpy()
    np.testing.assert_allclose(found, x @ w.T, rtol=1e-5, atol=1e-5)
    again, _ = layer(np.float32(x), np.zeros(B, np.int32))
    np.testing.assert_allclose(again, x @ w.T + np.arange(C), rtol=1e-5, atol=1e-5)

    found, layer = logits(Normalised(), x)
    np.testing.assert_allclose(found, unit(x) @ unit(layer.state["kernel"].numpy()).T, atol=1e-6)

    found, layer = logits(Euclidean(), x)
    apart = x[:, None] - layer.state["kernel"].numpy()[None]
    np.testing.assert_allclose(found, -(apart**2).sum(-1) / 2, rtol=1e-5)

    found, layer = logits(SubCenter(centers=3), x)
    centers = unit(layer.state["kernel"].numpy().reshape(C, 3, D))
    np.testing.assert_allclose(found, np.einsum("bd,ckd->bck", unit(x), centers).max(-1), atol=1e-6)


def plain_cosines(x: Any, w: Any) -> Any:
    import tensorflow as tf

    return tf.matmul(tf.math.l2_normalize(x, 1), tf.math.l2_normalize(w, 1), transpose_b=True)


@pytest.mark.parametrize(("compiled", "native"), [(False, False), (True, False), (False, True)])
def test_the_hand_written_gradient_is_the_automatic_one(
    compiled: bool, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    from workbench.models.heads import matmul

    monkeypatch.setattr(matmul, "ROWS", 64)  # so that large weights are gone through in pieces

    def both(x: Any, w: Any, upstream: Any) -> Any:
        results = []
        for function in (lambda a, b: matmul.cosines(a, b, native), plain_cosines):
            with tf.GradientTape() as tape:
                tape.watch([x, w])
                value = tf.reduce_sum(function(x, w) * upstream)
            results.append(tape.gradient(value, [x, w]))
        return results

    rng = np.random.default_rng(0)
    for b, c, d in ((1, 1, 1), (3, 40, 8), (16, 200, 32)):
        arrays = rng.normal(size=(b, d)), rng.normal(size=(c, d)) * 0.1, rng.normal(size=(b, c))
        ours, theirs = tf.function(both, jit_compile=compiled)(*(tf.constant(a, tf.float32) for a in arrays))
        for mine, automatic in zip(ours, theirs):
            np.testing.assert_allclose(mine, automatic, rtol=1e-3, atol=2e-5 * np.abs(automatic).max() + 1e-5)


def test_zero_rows_have_cosine_zero_and_finite_gradients() -> None:
    import tensorflow as tf

    from workbench.models.heads.matmul import cosines

    x, w = tf.zeros([2, 3]), tf.Variable(tf.zeros([4, 3]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = cosines(x, w)
    assert not value.numpy().any()
    assert all(np.isfinite(g).all() for g in tape.gradient(value, [x, w]))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("length", [0.0, 1e-12, 1e-6, 3e-3, 3.3e-3, 0.1])
def test_rows_near_zero_have_the_values_and_slopes_of_a_norm_with_a_floor(
    length: float, native: bool
) -> None:
    """Against the formula with max(|row|^2, 1e-5), its gradient written out row by row in NumPy."""
    import tensorflow as tf

    from workbench.models.heads.matmul import cosines

    rng = np.random.default_rng(1)
    x, w, g = unit(rng.normal(size=(3, 8))), unit(rng.normal(size=(5, 8))), rng.normal(size=(3, 5))
    x[0], w[1] = x[0] * length, w[1] * length
    with tf.GradientTape() as tape:
        inputs, weights = tf.constant(x, tf.float32), tf.Variable(w, dtype=tf.float32)
        tape.watch(inputs)
        value = tf.reduce_sum(found := cosines(inputs, weights, native)) * 0 + tf.reduce_sum(found * g)
    slopes = tape.gradient(value, [inputs, weights])

    def parts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squares = (rows**2).sum(1, keepdims=True)
        return 1 / np.sqrt(np.maximum(squares, 1e-5)), (squares > 1e-5).astype(float)

    (a, free_a), (b, free_b) = parts(x), parts(w)
    np.testing.assert_allclose(found, (x * a) @ (w * b).T, atol=1e-6)
    for rows, scale, free, upstream, slope in (
        (x, a, free_a, g @ (w * b), slopes[0]),
        (w, b, free_b, g.T @ (x * a), slopes[1]),
    ):
        own = rows * scale
        expected = scale * (upstream - free * own * (own * upstream).sum(1, keepdims=True))
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-4)
        assert np.abs(slope).max() < 317 * np.abs(upstream).max() * 1.01


def test_only_the_largest_sub_center_learns() -> None:
    import tensorflow as tf

    layer = SubCenter(centers=3).layer(C, D)
    x, y = sample()
    with tf.GradientTape() as tape:
        found, _ = layer(tf.constant(x, tf.float32), tf.constant(y, tf.int32))
        value = tf.reduce_sum(found[:1, :1])
    slope = tape.gradient(value, layer.state["kernel"]).numpy().reshape(C, 3, D)
    best = (unit(x[:1]) @ unit(layer.state["kernel"].numpy().reshape(C, 3, D)[0]).T).argmax()
    assert slope[0, best].any()
    slope[0, best] = 0
    assert not slope.any()


class TestSampled:
    """Partial FC."""

    def test_its_columns_hold_the_batch_and_others_without_repeats(self) -> None:
        import tensorflow as tf

        from workbench.models.heads.partial_fc import choose

        seen, expected = np.zeros(1000), 0.0
        for step in range(200):
            labels = np.random.default_rng(step).integers(0, 100, 16)
            chosen = choose(tf.constant(labels, tf.int32), 1000, 100, tf.constant([7, step])).numpy()
            assert len(chosen) == 100
            assert (np.diff(chosen) > 0).all()
            assert set(labels) <= set(chosen)
            seen[chosen] += 1
            own = len(set(labels))
            expected += (100 - own) / (1000 - own)  # of an identity outside the batch
        assert abs(seen[100:].mean() - expected) < 0.5
        assert seen[100:].min() > expected / 4
        assert seen[100:].max() < expected * 3

    def test_logits_are_the_cosines_of_its_columns(self) -> None:
        import tensorflow as tf

        x, y = sample()
        layer = Sampled(rate=0.7).layer(C, D)
        found, targets = layer(tf.constant(x, tf.float32), tf.constant(y, tf.int32), training=True)
        every = unit(x) @ unit(layer.state["kernel"].numpy()).T
        assert found.shape == (B, 8)
        own = found.numpy()[np.arange(B), targets.numpy()]
        np.testing.assert_allclose(own, every[np.arange(B), y], atol=1e-6)
        assert all(np.abs(every[0] - value).min() < 1e-6 for value in found.numpy()[0])
        full, labels = layer(tf.constant(x, tf.float32), tf.constant(y, tf.int32), training=False)
        np.testing.assert_allclose(full, every, atol=1e-6)
        np.testing.assert_array_equal(labels, y)

    def test_each_step_draws_anew_and_a_restored_state_draws_the_same(self) -> None:
        import tensorflow as tf

        x, y = (tf.constant(a, t) for a, t in zip(sample(), (tf.float32, tf.int32)))
        layer = Sampled(rate=0.6).layer(C, D)
        before = layer.get_weights()
        first = layer(x, y, training=True)[0].numpy()
        draws = [layer(x, y, training=True)[0].numpy() for _ in range(5)]
        assert any(not np.array_equal(first, draw) for draw in draws)
        layer.set_weights(before)
        np.testing.assert_array_equal(layer(x, y, training=True)[0], first)

    def test_at_rate_one_it_is_the_full_head(self) -> None:
        import tensorflow as tf

        x, y = (tf.constant(a, t) for a, t in zip(sample(), (tf.float32, tf.int32)))
        sampled, full = Sampled(rate=1).layer(C, D), Normalised().layer(C, D)
        full.state["kernel"].assign(sampled.state["kernel"])
        for got, expected in zip(sampled(x, y, training=True), full(x, y, training=True)):
            np.testing.assert_allclose(got, expected, atol=1e-6)

    def test_the_gradient_touches_the_chosen_rows_only(self) -> None:
        import tensorflow as tf

        from workbench.spec.interfaces import Batch

        x, y = (tf.constant(a, t) for a, t in zip(sample(), (tf.float32, tf.int32)))
        loss = ArcFace(head=Sampled(rate=0.6))
        layer, term = loss.head.layer(C, D), loss.layer(C, D, B)
        with tf.GradientTape() as tape:
            found, targets = layer(x, y, training=True)
            value = term(Batch(x, y, found, 0.0, None, True, targets))
        slope = tape.gradient(value, layer.state["kernel"])
        assert isinstance(slope, tf.IndexedSlices)
        assert slope.values.shape == (7, D)
        assert set(sample()[1]) <= set(slope.indices.numpy())

    def test_more_images_than_its_share_widen_it(self) -> None:
        import tensorflow as tf

        x, y = np.random.default_rng(0).normal(size=(9, D)), np.arange(9)
        layer = Sampled(rate=0.1).layer(C, D)
        found, _ = layer(tf.constant(x, tf.float32), tf.constant(y, tf.int32), training=True)
        assert found.shape == (9, 9)

    def test_it_compiles_with_xla(self) -> None:
        import tensorflow as tf

        x, y = (tf.constant(a, t) for a, t in zip(sample(), (tf.float32, tf.int32)))
        layer = Sampled(rate=0.6).layer(C, D)
        compiled = tf.function(lambda a, b: layer(a, b, training=True), jit_compile=True)
        found, targets = compiled(x, y)
        every = unit(sample()[0]) @ unit(layer.state["kernel"].numpy()).T
        own = found.numpy()[np.arange(B), targets.numpy()]
        np.testing.assert_allclose(own, every[np.arange(B), sample()[1]], atol=1e-6)


def test_equal_signatures_have_equal_trained_weights() -> None:
    heads = [
        Dense(),
        Dense(bias=False),
        Normalised(),
        Sampled(rate=0.5),
        SubCenter(),
        SubCenter(centers=2),
        Euclidean(),
    ]
    by_signature: dict[Any, list[Any]] = {}
    for head in heads:
        shapes = [v.shape.as_list() for v in head.layer(C, D).trainable_variables]
        assert by_signature.setdefault(head.signature(C, D), shapes) == shapes
    assert len(by_signature) == len(heads) - 1  # the sampled head takes the weights of the normalised one
    for head in heads:
        assert head.signature(C + 1, D) not in by_signature
        assert head.signature(C, D + 1) not in by_signature


def test_a_large_head_starts_as_glorot_without_two_equal_rows() -> None:
    import scipy.stats
    import tensorflow as tf

    from workbench.models.heads.layers import LARGE, add
    from workbench.models.heads.weights import Slot

    def start(seed: int) -> np.ndarray:
        tf.keras.utils.set_random_seed(seed)
        layer = tf.keras.layers.Layer()
        return add(layer, "kernel", Slot((LARGE + 7, 8))).numpy()

    one, again, other = start(3), start(3), start(4)
    np.testing.assert_array_equal(one, again)
    assert not np.any(one == other)
    limit = np.sqrt(6 / (LARGE + 7 + 8))
    assert abs(one).max() <= limit
    edges = np.linspace(-limit, limit, 21)
    counts = np.histogram(one, edges)[0]
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    assert len(np.unique(one, axis=0)) == LARGE + 7
