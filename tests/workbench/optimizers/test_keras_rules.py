"""The rules and the loss that stand in for TensorFlow Addons equal them, and take up their state."""

from __future__ import annotations

import numpy as np
import pytest

from workbench import lazy, optimizers
from workbench.lazy import tf
from workbench.losses import metric
from workbench.optimizers import LAMB, SGD, Adam, LazyAdam, Lookahead, RectifiedAdam, rules

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(lazy.addons() is None, reason="TensorFlow Addons are not made for this TensorFlow"),
]
RULES = {
    "LAMB": LAMB(),
    "LazyAdam": LazyAdam(beta_1=0.8),
    "RectifiedAdam": RectifiedAdam(),
    "RectifiedAdam, short": RectifiedAdam(beta_2=0.9, sma_threshold=4.0),
    "Lookahead": Lookahead(),
    "Lookahead of momentum": Lookahead(optimizer=SGD(momentum=0.9), sync_period=3, slow_step=0.3),
    "Lookahead of Adam": Lookahead(optimizer=Adam(amsgrad=True), sync_period=1),
}
START = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def one(rule, monkeypatch, ours: bool, policy: str = "float32"):
    """Return a weight and its optimizer, ours or that of Addons, as a stage makes it."""
    with monkeypatch.context() as patch:
        if ours:
            patch.setattr(rules, "addons", lambda: None)
        optimizer = optimizers.make(rule, policy)
    weight = tf.Variable(START, name="kernel")
    optimizers.build(optimizer, [weight])
    return weight, optimizer


def go(weight, optimizer, steps: range, sparse: bool) -> list[np.ndarray]:
    """Do steps on given gradients inside a graph and return the weights after each."""

    @tf.function
    def step(rate, g, rows):
        optimizer.learning_rate.assign(rate)
        gradient = tf.IndexedSlices(tf.gather(g, rows), rows, tf.shape(g)) if sparse else g
        optimizer.apply_gradients([(gradient, weight)])

    found = []
    for k in steps:
        random = np.random.default_rng(k)
        g = tf.constant(random.normal(size=START.shape), tf.float32)
        step(tf.constant(0.1 / (k + 1)), g, tf.constant(random.choice(5, 3), tf.int64))  # rows may repeat
        found.append(weight.numpy())
    return found


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", RULES)
def test_twelve_steps_equal_those_of_addons(name, sparse, monkeypatch):
    pairs = [one(RULES[name], monkeypatch, ours) for ours in (True, False)]
    assert "Addons" not in str(type(pairs[0][1]).__module__) and pairs[0][1].__module__.startswith(
        "workbench."
    )
    mine, theirs = (go(*pair, range(12), sparse) for pair in pairs)
    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)
    assert not np.allclose(mine[-1], START)


@pytest.mark.parametrize("name", RULES)
def test_a_state_of_addons_goes_on_in_ours_and_back(name, monkeypatch):
    (mine, ours), (theirs, addons) = (one(RULES[name], monkeypatch, flag) for flag in (True, False))
    go(theirs, addons, range(5), False)
    mine.assign(theirs)
    optimizers.copy_state(addons, ours)
    expected, found = go(theirs, addons, range(5, 12), False), go(mine, ours, range(5, 12), False)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    optimizers.copy_state(ours, addons)
    assert [v.shape for v in optimizers.state(ours)] == [v.shape for v in optimizers.state(addons)]


@pytest.mark.parametrize("name", ["LAMB", "Lookahead"])
def test_ours_equal_addons_under_loss_scaling(name, monkeypatch):
    pairs = [one(RULES[name], monkeypatch, ours, "mixed_float16") for ours in (True, False)]
    mine, theirs = (go(*pair, range(6), False) for pair in pairs)
    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


def test_lamb_takes_the_plain_step_where_a_norm_is_zero(monkeypatch):
    found = []
    for ours in (True, False):
        weight, optimizer = one(LAMB(), monkeypatch, ours)
        weight.assign(weight * 0)
        optimizer.apply_gradients([(tf.ones_like(weight), weight)])
        optimizer.apply_gradients([(tf.zeros_like(weight), weight)])
        found.append(weight.numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-6)
    assert np.isfinite(found[0]).all()


@pytest.mark.parametrize("seed", range(6))
def test_semi_hard_triplets_equal_those_of_addons_with_their_gradient(seed):
    random = np.random.default_rng(seed)
    embeddings = tf.Variable(random.normal(size=(24, 8)), dtype=tf.float32)
    labels = tf.constant(random.integers(0, 2 + seed, 24))
    found = []
    for mined in (metric.semi_hard, metric.semi_hard_sorted):
        with tf.GradientTape() as tape:
            distances = metric.Triplet(mining="semi-hard").distances(embeddings)
            value = mined(distances, metric.same_identity(labels), labels, 0.35)
        found.append((value.numpy(), tape.gradient(value, embeddings).numpy()))
    assert found[0][0] > 0
    for theirs, mine in zip(*found):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]], ids=["no negative", "no positive"])
def test_semi_hard_without_a_triplet_is_zero(labels):
    labels = tf.constant(labels)
    distances = tf.random.stateless_uniform([4, 4], [1, 2])
    assert float(metric.semi_hard_sorted(distances, metric.same_identity(labels), labels, 0.3)) == 0.0
