"""What one weight becomes: the field's reference numbers, every rule against its paper, what decays."""

from __future__ import annotations

import math

import numpy as np
import oracles
import pytest
import tensorflow as tf
from running import finished

from workbench import optimizers
from workbench.errors import SpecError
from workbench.models.backbones.mobilenet import MobileNet
from workbench.models.embeddings import GDC
from workbench.optimizers import (
    L2,
    LAMB,
    SGD,
    SGDW,
    Adam,
    Adamax,
    AdamW,
    Coupled,
    Decoupled,
    LazyAdam,
    Lookahead,
    Nadam,
    RectifiedAdam,
)
from workbench.optimizers.schedules import Constant, Cosine, Exponential, InverseTime, Steps

pytestmark = pytest.mark.tensorflow

FIELD_TABLE = [
    ("SGD lr 0.1", SGD(), None, (0.9, 0.81, 0.729)),
    ("SGD, l2 0.01", SGD(), L2(0.02), (0.898, 0.806404, 0.7241508)),
    ("Addons SGDW, wd 0.002", SGDW(), Decoupled(0.002), (0.898, 0.806404, 0.72415084)),
    ("SGD momentum", SGD(momentum=0.9), None, (0.9, 0.72, 0.486)),
    ("SGD momentum, l2 0.01", SGD(momentum=0.9), L2(0.02), (0.898, 0.714604, 0.47665802)),
    ("Addons SGDW momentum", SGDW(momentum=0.9), Decoupled(0.002), (0.898, 0.71640396, 0.48151073)),
    ("MXNet SGD, wd 0.002", SGD(), Coupled(0.002), (0.8998, 0.80964005, 0.72851413)),
    ("MXNet SGD, wd 0.02", SGD(), Coupled(0.02), (0.898, 0.806404, 0.7241508)),
    ("MXNet SGD momentum, wd 0.02", SGD(momentum=0.9), Coupled(0.02), (0.898, 0.714604, 0.47665802)),
]


class Alone:
    """One weight under the functions that the Trainer calls, in the Trainer's order, inside a graph as there."""

    def __init__(self, rule, decay, start=1.0, policy="float32", head=False, graph=True):
        self.weight = tf.Variable(start, name="dense/kernel:0")
        self.decay, self.peak = decay, 0.1
        self.optimizer = optimizers.make(rule, policy)
        optimizers.build(self.optimizer, [self.weight])
        self.pairs = (
            [optimizers.Decayed(self.weight, decay.head if head and decay else 1.0, head)] if decay else []
        )
        self.step = tf.function(self._step, autograph=False) if graph else self._step

    def _step(self, rate, square, slope):
        self.optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            loss = square * tf.reduce_sum(self.weight**2) / 2 + tf.reduce_sum(slope * self.weight)
            loss += (self.decay or optimizers.OFF).regulariser(self.pairs, self.peak)
            scaled = optimizers.scaled(self.optimizer, loss)
        gradients = optimizers.unscaled(self.optimizer, tape.gradient(scaled, [self.weight]))
        gradients = (self.decay or optimizers.OFF).add_to(gradients, [self.weight], self.pairs)
        ratio = rate / self.peak * optimizers.taken(self.optimizer, gradients)
        (self.decay or optimizers.OFF).shrink(self.pairs, ratio)
        self.optimizer.apply_gradients(zip(gradients, [self.weight]))
        return loss

    def go(self, rate=0.1, slope=None):
        """Do a step on the loss slope * w, or without a slope on w**2 / 2."""
        square = 1.0 if slope is None else 0.0
        slope = tf.constant(0.0 if slope is None else slope, tf.float32)
        return float(self.step(tf.constant(rate), tf.constant(square), slope))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize(
    ("name", "rule", "decay", "weights"), FIELD_TABLE, ids=[row[0] for row in FIELD_TABLE]
)
def test_the_fields_table(name, rule, decay, weights, policy):
    one = Alone(rule, decay, policy=policy)
    for expected in weights:
        one.go()
        assert float(one.weight) == pytest.approx(expected, abs=1e-6 if policy == "float32" else 1e-3)


def test_the_loss_includes_the_regulariser():
    one = Alone(SGD(), L2(0.02))
    assert [one.go() for _ in range(3)] == pytest.approx([0.51, 0.411266, 0.331647], abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "decay", "head", "expected"),
    [
        (SGDW(), Decoupled(5e-4), False, 0.8995),
        (SGD(), Coupled(5e-4), False, 0.89995),
        (SGD(), L2(5e-4), False, 0.89995),
        (SGDW(), Decoupled(5e-5, head=10), True, 0.8995),
        (SGDW(), Decoupled(5e-5, head_l2=10), True, 0.8995),
        (SGDW(), Decoupled(5e-5, head_l2=10), False, 0.89995),
        (SGD(), L2(5e-5, head=10), True, 0.89995),
    ],
    ids=str,
)
def test_one_update_with_gradient_one(rule, decay, head, expected):
    one = Alone(rule, decay, head=head)
    one.go(slope=1.0)
    assert float(one.weight) == pytest.approx(expected, abs=1e-6)


def test_decoupled_decay_follows_the_rate():
    for rate in (0.1, 0.05, 0.001):
        one = Alone(SGDW(), Decoupled(0.01))
        one.go(rate, slope=1.0)
        assert float(one.weight) == pytest.approx(1 - 0.01 * rate / 0.1 - rate, abs=1e-7)


def test_a_step_skipped_by_loss_scaling_leaves_the_weight_alone():
    one = Alone(SGDW(), Decoupled(0.01), policy="mixed_float16")
    one.go(slope=math.inf)
    assert float(one.weight) == 1.0
    one.go(slope=1.0)
    assert float(one.weight) == pytest.approx(1 - 0.01 - 0.1, abs=1e-6)


RULES = {
    "SGD": (SGD(), oracles.sgd),
    "SGD momentum": (SGD(momentum=0.9), lambda: oracles.sgd(0.9)),
    "SGD nesterov": (SGD(momentum=0.9, nesterov=True), lambda: oracles.sgd(0.9, True)),
    "SGDW": (SGDW(momentum=0.9), lambda: oracles.sgd(0.9)),
    "Adam": (Adam(), oracles.adam),
    "Adam settings": (Adam(beta_1=0.8, beta_2=0.9, epsilon=1e-3), lambda: oracles.adam(0.8, 0.9, 1e-3)),
    "AdamW": (AdamW(), oracles.adam),
    "Nadam": (Nadam(), oracles.nadam),
    "Adamax": (Adamax(), oracles.adamax),
    "LAMB": (LAMB(), oracles.lamb),
    "LazyAdam": (LazyAdam(), oracles.adam),
    "RectifiedAdam": (RectifiedAdam(), oracles.rectified_adam),
    "Lookahead": (Lookahead(), lambda start: oracles.lookahead(oracles.rectified_adam(), 6, 0.5)(start)),
    "Lookahead SGD": (
        Lookahead(optimizer=SGD(momentum=0.9), sync_period=2, slow_step=0.3),
        lambda start: oracles.lookahead(oracles.sgd(0.9), 2, 0.3)(start),
    ),
}
FORMS = [None, Decoupled(0.02), Coupled(0.03), L2(0.03)]


def _begin(oracle, start):
    return oracle(start) if oracle.__name__ == "<lambda>" and oracle.__code__.co_argcount else oracle()


def _admitted(rule, decay):
    try:
        rule.admits(decay)
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("name", RULES)
def test_every_rule_and_decay_is_its_formula_alone(name):
    rule, oracle = RULES[name]
    for decay in filter(lambda form: _admitted(rule, form), FORMS):
        start = np.array([1.0, -0.5, 0.25], np.float32)
        w = start.astype(float)
        one, expect = Alone(rule, decay, start), _begin(oracle, w)
        for k, rate in enumerate([0.1, 0.1, 0.05, 0.05, 0.1, 0.1, 0.01]):
            g = np.array([0.3, -0.2, 0.1]) * (k + 1)
            one.go(rate, slope=g)
            w = _expected(decay, expect, w, g, rate)
            np.testing.assert_allclose(
                one.weight.numpy(), w, rtol=2e-5, atol=2e-6, err_msg=f"{decay}, step {k}"
            )


def _expected(decay, step, w, g, rate, peak=0.1):
    if isinstance(decay, (Coupled, L2)):
        return step(w, g + decay.value * w, rate)
    return step(w * (1 - decay.value * rate / peak) if decay else w, g, rate)


@pytest.fixture(scope="module")
def network():
    tf.keras.utils.set_random_seed(3)
    backbone = MobileNet(image_size=32, width=0.25, depth=1, stem_stride=2)
    inputs = tf.keras.Input([32, 32, 3])
    model = tf.keras.Model(inputs, GDC(size=8).build(backbone.build(inputs)))
    images = tf.random.stateless_normal([4, 32, 32, 3], [1, 2])
    # The gradients do not depend on the rule: each form of decay is traced once for all rules.
    slopes = {form: tf.function(lambda form=form: _slopes(model, images, form)) for form in FORMS}
    return model, model.get_weights(), slopes


def _slopes(model, images, decay):
    """Return the gradients of a stage's loss with the decay, and of the loss without any, by variable."""
    variables = model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        plain = tf.reduce_mean(tf.square(model(images, training=True) - 1.0))
        pairs = optimizers.decayed_weights(model, variables, [], decay)
        loss = plain + (decay or optimizers.OFF).regulariser(pairs, 0.1)
    gradients = (decay or optimizers.OFF).add_to(tape.gradient(loss, variables), variables, pairs)
    return gradients, tape.gradient(plain, variables)


def _stage_step(model, slopes, decay, optimizer, rate):
    """Do what a stage's step does; return the gradient of the loss without any decay, by variable."""
    variables = model.trainable_variables
    gradients, pure = slopes[decay]()
    optimizer.learning_rate.assign(rate)
    pairs = optimizers.decayed_weights(model, variables, [], decay)
    (decay or optimizers.OFF).shrink(pairs, tf.constant(rate / 0.1))
    optimizer.apply_gradients(zip(gradients, variables))
    return pure


@pytest.mark.parametrize("name", RULES)
def test_every_rule_and_decay_is_its_formula_in_mobilenet(name, network):
    model, start, slopes = network
    rule, oracle = RULES[name]
    index = next(i for i, v in enumerate(model.trainable_variables) if "depthwise_kernel" in v.name)
    for decay in filter(lambda form: _admitted(rule, form), FORMS):
        model.set_weights(start)
        optimizer = optimizers.make(rule)
        expect = _begin(oracle, model.trainable_variables[index].numpy().astype(float))
        optimizers.build(optimizer, model.trainable_variables)
        for rate in (0.1, 0.05):
            before = model.trainable_variables[index].numpy().astype(float)
            g = _stage_step(model, slopes, decay, optimizer, rate)[index].numpy()
            after = _expected(decay, expect, before, g, rate)
            found = model.trainable_variables[index].numpy()
            # where |g| is near epsilon, Adam's kind turns the gradient's own rounding into a visible step
            np.testing.assert_allclose(found, after, atol=1e-5, err_msg=str(decay))


def test_what_is_excluded_from_decay_is_excluded():
    layers = tf.keras.layers
    inputs = layers.Input([8, 8, 3])
    x = layers.PReLU(name="slope")(
        layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(inputs))
    )
    x = layers.LayerNormalization(name="layer")(layers.DepthwiseConv2D(3, name="dw")(x))
    x = layers.SeparableConv2D(4, 2, name="separable")(x)
    model = tf.keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))
    head = model.get_layer("head").trainable_variables

    def names(decay):
        found = optimizers.decayed_weights(model, model.trainable_variables, head, decay)
        return {pair.variable.name.split(":")[0]: pair.multiplier for pair in found}

    kernels = {
        "conv/kernel": 1,
        "dw/depthwise_kernel": 1,
        "separable/depthwise_kernel": 1,
        "separable/pointwise_kernel": 1,
        "head/kernel": 10,
    }
    biases = {"conv/bias": 1, "dw/bias": 1, "separable/bias": 1, "head/bias": 10}
    norms = dict.fromkeys(("norm/gamma", "norm/beta", "layer/gamma", "layer/beta", "slope/alpha"), 1)
    assert names(L2(0.1, head=10)) == {**kernels, **biases, **norms}
    assert names(L2(0.1, head=10, norms=False)) == {**kernels, **biases}
    assert names(L2(0.1, head=10, biases=False)) == {**kernels, **norms}
    assert names(L2(0.1, head=10, norms=False, biases=False)) == kernels
    assert names(None) == {}
    decay = Decoupled(0.5, norms=False, biases=False)
    before = [variable.numpy() for variable in model.trainable_variables]
    decay.shrink(optimizers.decayed_weights(model, model.trainable_variables, head, decay), tf.constant(1.0))
    for variable, old in zip(model.trainable_variables, before):
        factor = 0.5 if "kernel" in variable.name else 1.0
        np.testing.assert_allclose(variable.numpy(), old * factor, err_msg=variable.name)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", RULES)
def test_state_survives_checkpoint_and_handing_on(name, policy, tmp_path):
    """Step by step without a graph, whose tracing is most of a test; what a graph computes is tested above."""
    rule, decay = RULES[name][0], Decoupled(0.01)
    start = np.array([1.0, -0.5, 0.25], np.float32)
    g = np.array([0.3, -0.2, 0.1])
    one = Alone(rule, decay, start, policy, graph=False)
    for _ in range(4):
        one.go(slope=g)
    saved = tf.train.Checkpoint(optimizer=one.optimizer, weight=one.weight).save(str(tmp_path / "state"))
    two = Alone(rule, decay, start * 0, policy, graph=False)
    tf.train.Checkpoint(optimizer=two.optimizer, weight=two.weight).restore(saved).assert_consumed()
    three = Alone(rule, decay, one.weight.numpy(), policy, graph=False)
    optimizers.copy_state(one.optimizer, three.optimizer)
    for other in (one, two, three):
        for _ in range(3):
            other.go(0.03, slope=g)
    np.testing.assert_array_equal(one.weight.numpy(), two.weight.numpy())
    if not isinstance(rule, Lookahead):  # its slow weights are those it was built with, until handed on
        np.testing.assert_array_equal(one.weight.numpy(), three.weight.numpy())
    for a, b in zip(optimizers.state(one.optimizer), optimizers.state(three.optimizer)):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_the_graph_computes_the_plain_formula():
    schedules = [
        Constant(0.1, warmup=2),
        Steps(peak=0.1, from_epochs=(5, 9)),
        Exponential(peak=0.1, rate=0.05, hold=2),
        InverseTime(peak=0.1, rate=0.3, per="batch"),
        Cosine(peak=0.1, cycle=16, warmup=1),
        Cosine(peak=0.1, cycle=5, growth=1.5, decay=0.5, floor=1e-6, per="batch"),
    ]
    for schedule in schedules:
        graph = tf.function(schedule.tensor, input_signature=[tf.TensorSpec([], tf.float32)])
        for t in np.arange(0, 60, 0.25):
            found = float(graph(tf.constant(t, tf.float32)))
            assert found == pytest.approx(schedule.at(t), rel=2e-6), f"{schedule} at {t}"


def test_cosine_agrees_with_kerass_own_restarts():
    ours = Cosine(peak=0.1, floor=0.001, cycle=4, growth=2, decay=0.5, cooldown=0, per="batch")
    theirs = tf.keras.optimizers.schedules.CosineDecayRestarts(0.1, 4.0, 2.0, 0.5, 0.01)
    for t in np.arange(0.05, 60, 0.37):
        assert ours.at(t) == pytest.approx(float(theirs(tf.constant(t, tf.float32))), rel=1e-4)


TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from workbench import L2, SGD, SGDW, Coupled, Decoupled, optimizers
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
compared = 0
for rule, decay in ((SGDW(momentum=0.9), Decoupled(0.002)), (SGD(), Coupled(0.02)), (SGD(), L2(0.02))):
    with strategy.scope():
        weight = tf.Variable(1.0, name="kernel:0")
        optimizer = optimizers.make(rule)
        optimizers.build(optimizer, [weight])
    pairs = [optimizers.Decayed(weight, 1.0, False)]

    def step():
        optimizer.learning_rate.assign(0.1)
        with tf.GradientTape() as tape:
            loss = (weight**2 / 2 + (decay or optimizers.OFF).regulariser(pairs, 0.1)) / 2  # each device's share
        gradients = (decay or optimizers.OFF).add_to(tape.gradient(loss, [weight]), [weight], pairs, replicas=2)
        (decay or optimizers.OFF).shrink(pairs, tf.constant(1.0))
        optimizer.apply_gradients(zip(gradients, [weight]))

    run = tf.function(lambda: strategy.run(step))
    for expected in (0.898, 0.71640396 if isinstance(rule, SGDW) else 0.806404):
        run()
        assert abs(float(weight.numpy()) - expected) < 1e-6, (str(decay), float(weight.numpy()))
        compared += 1
print("compared", compared)
"""


def test_decay_acts_alike_on_two_devices(tmp_path):
    done = finished(tmp_path, program=("-c", TWO_DEVICES))
    assert (done.returncode, done.stdout) == (0, "compared 6\n"), done.stderr[-2000:]


def test_bias_correction_of_the_oracle_is_sane():
    assert oracles.adam()(np.array(1.0), np.array(0.5), 0.1) == pytest.approx(0.9, abs=1e-5)
    assert math.isclose(oracles.sgd(0.9, True)(1.0, 1.0, 0.1), 1 - 0.19)
