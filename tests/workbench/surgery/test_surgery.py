"""Surgery: the outputs that each step claims, on small built and loaded models."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workbench import surgery
from workbench.errors import SpecError
from workbench.models.backbones.mobilefacenet import MobileFaceNet
from workbench.models.embeddings import GAP, GDC
from workbench.surgery import Changed, Freeze, PReLUToDepthwise, ReLUToPReLU, SetNorms, UpSamplingToTranspose
from workbench.surgery.freezing import opener

pytestmark = pytest.mark.tensorflow
L = tf.keras.layers
QUICK = MobileFaceNet().quick()


def randomised(model):
    """Give every weight a value of its own, so that equality of outputs means something."""
    chance = np.random.default_rng(5)
    model.set_weights([np.abs(chance.normal(0.3, 0.2, w.shape)) for w in model.get_weights()])
    return model


def images(size=8, channels=3):
    return tf.random.stateless_normal([2, size, size, channels], [3, 4])


def small(activation):
    inputs = L.Input([8, 8, 3])
    x = activation("one")(L.BatchNormalization(name="norm")(L.Conv2D(4, 3, name="conv")(inputs)))
    x = activation("two")(L.Dense(5, name="dense")(L.Flatten()(x)))
    return randomised(tf.keras.Model(inputs, x))


def test_relu_to_prelu_is_equal_at_slope_zero_and_trains():
    for activation in (lambda name: L.ReLU(name=name), lambda name: L.Activation("relu", name=name)):
        model = small(activation)
        changed = surgery.relu_to_prelu(model)
        np.testing.assert_allclose(model(-images()), changed(-images()), rtol=1e-5)
        assert changed.get_layer("one").alpha.shape == (1, 1, 4)
        assert changed.get_layer("two").alpha.shape == (5,)
    quarter = surgery.relu_to_prelu(model, start=0.25)
    assert float(quarter.get_layer("two").alpha[0]) == 0.25


def test_relu_within_a_layer_becomes_a_layer_of_its_own():
    inputs = L.Input([8, 8, 3])
    x = L.Flatten()(L.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    model = randomised(tf.keras.Model(inputs, L.Dense(5, activation="relu", name="dense")(x)))
    changed = surgery.relu_to_prelu(model)
    np.testing.assert_allclose(model(-images()), changed(-images()), rtol=1e-5)
    assert changed.get_layer("conv_prelu").alpha.shape == (1, 1, 4)
    assert changed.get_layer("dense_prelu").alpha.shape == (5,)


def test_the_gate_of_a_hard_swish_is_no_activation():
    inputs = L.Input([8, 8, 4])
    gate = L.ReLU(6.0, name="gate")(L.Rescaling(1.0, 3.0)(inputs))
    capped = L.ReLU(6.0, name="capped")(L.Multiply()([inputs, gate]))
    changed = surgery.relu_to_prelu(tf.keras.Model(inputs, capped), capped=True)
    assert [layer.name for layer in changed.layers if isinstance(layer, L.PReLU)] == ["capped"]
    assert changed.get_layer("gate").max_value == 6.0


@pytest.mark.parametrize("add", [lambda x: x + 3.0, lambda x: 3.0 + x])
def test_operations_before_a_relu6_make_it_a_gate_where_they_add_three(add):
    inputs = L.Input([8, 8, 4])
    gate = L.ReLU(6.0, name="gate")(add(inputs))
    joined = L.ReLU(6.0, name="joined")(inputs + gate)
    scaled = L.ReLU(6.0, name="scaled")(joined[..., :2] * 2.0)
    changed = surgery.relu_to_prelu(tf.keras.Model(inputs, scaled), capped=True)
    assert [layer.name for layer in changed.layers if isinstance(layer, L.PReLU)] == ["joined", "scaled"]


def test_prelu_to_depthwise_is_equal():
    model = small(lambda name: L.PReLU(shared_axes=[1, 2] if name == "one" else None, name=name))
    changed = surgery.prelu_to_depthwise(model)
    assert not any(isinstance(layer, L.PReLU) for layer in changed.layers)
    np.testing.assert_allclose(model(-images()), changed(-images()), rtol=1e-5, atol=1e-6)
    face = tf.keras.Model(inputs := L.Input([32, 32, 3]), GDC(size=8).build(QUICK.build(inputs)))
    np.testing.assert_allclose(
        face(images(32)), surgery.prelu_to_depthwise(face)(images(32)), rtol=1e-4, atol=1e-5
    )


def test_prelu_of_each_position_is_refused():
    inputs = L.Input([4, 4, 2])
    with pytest.raises(SpecError, match="differ from position to position"):
        surgery.prelu_to_depthwise(tf.keras.Model(inputs, L.PReLU()(inputs)))


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (2, 3), (4, 1)])
def test_upsampling_is_equal_where_claimed(size):
    inputs, x = L.Input([5, 6, 3]), tf.random.stateless_normal([2, 5, 6, 3], [1, 1])
    nearest = tf.keras.Model(inputs, L.UpSampling2D(size, interpolation="nearest")(inputs))
    np.testing.assert_allclose(nearest(x), surgery.upsampling_to_transpose(nearest)(x), rtol=1e-6)
    bilinear = tf.keras.Model(inputs, L.UpSampling2D(size, interpolation="bilinear")(inputs))
    plain, exact = (surgery.upsampling_to_transpose(bilinear, border)(x) for border in ("plain", "exact"))
    np.testing.assert_allclose(bilinear(x), exact, rtol=1e-4, atol=1e-5)
    h, w = (factor // 2 for factor in size)
    inside = (slice(None), slice(h, -h or None), slice(w, -w or None))
    np.testing.assert_allclose(bilinear(x)[inside], plain[inside], rtol=1e-4, atol=1e-5)


def test_the_border_difference_is_the_one_stated():
    inputs = L.Input([4, 4, 1])
    model = tf.keras.Model(inputs, L.UpSampling2D(2, interpolation="bilinear")(inputs))
    found = surgery.upsampling_to_transpose(model)(tf.ones([1, 4, 4, 1]))[0, :, :, 0].numpy()
    assert found[0, 0] == pytest.approx(0.75**2) and found[0, 4] == pytest.approx(0.75)
    np.testing.assert_allclose(found[1:-1, 1:-1], 1.0)


def test_l2_is_half_of_wd_on_every_kind_of_kernel():
    inputs = L.Input([8, 8, 3])
    x = L.SeparableConv2D(4, 2, name="separable")(
        L.DepthwiseConv2D(3, name="dw")(L.Conv2D(3, 3, name="conv")(inputs))
    )
    x = L.PReLU(shared_axes=[1, 2], name="slope")(L.BatchNormalization(name="norm")(x))
    model = randomised(tf.keras.Model(inputs, L.Dense(2, name="dense")(L.Flatten()(x))))
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    assert len(kernels) == 5
    squares = sum(float(tf.reduce_sum(v**2)) for v in kernels)
    changed = surgery.add_l2(model, 0.02)
    assert float(tf.add_n(changed.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
    np.testing.assert_allclose(model(images()), changed(images()), rtol=1e-5)
    others = [
        v for v in model.trainable_variables if v.name.split("/")[-1] in ("gamma:0", "beta:0", "alpha:0")
    ]
    squares += sum(float(tf.reduce_sum(v**2)) for v in others)
    everything = surgery.add_l2(model, 0.02, prelu=True, norms=True)
    assert float(tf.add_n(everything.losses)) == pytest.approx(0.01 * squares, rel=1e-5)


def test_norms_change_and_weights_stay():
    model = small(lambda name: L.ReLU(name=name))
    changed = surgery.set_norms(model, momentum=0.5, epsilon=0.1)
    norm = changed.get_layer("norm")
    assert (norm.momentum, norm.epsilon) == (0.5, 0.1)
    for before, after in zip(model.get_weights(), changed.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_freezing_by_pattern():
    inputs = L.Input([32, 32, 3])
    model = tf.keras.Model(inputs, GDC(size=8).build(QUICK.build(inputs)))
    total = len(model.trainable_variables)
    names = surgery.freeze(model, "stem_*", "stage1_*")
    assert all(name.startswith(("stem_", "stage1_")) for name in names)
    left = {v.name.split("/")[0] for v in model.trainable_variables}
    assert 0 < len(model.trainable_variables) < total and not left & set(names)
    assert surgery.train_only(model, "gdc_*", "pre_embedding") == [
        "gdc_bn",
        "gdc_conv",
        "gdc_dw",
        "pre_embedding",
    ]
    surgery.train_only(model, "*")
    assert len(model.trainable_variables) == total
    with pytest.raises(SpecError, match="no layer matches 'stagex_\\*'.*near it are"):
        surgery.freeze(model, "stagex_*")


def test_stages_open_layers_by_pattern_and_close_them_again():
    model = small(lambda name: L.ReLU(name=name))
    model.get_layer("conv").trainable = False
    open_layers = opener(model)
    open_layers(("dense", "conv"), "stage 1")
    assert [layer.name for layer in model.layers if layer.trainable and layer.weights] == ["conv", "dense"]
    open_layers("all", "stage 2")  # all that was trained as built
    assert [layer.name for layer in model.layers if layer.trainable and layer.weights] == ["norm", "dense"]
    with pytest.raises(SpecError, match="stage 3: no layer matches 'dnse'.*near it are dense"):
        open_layers(("dnse",), "stage 3")


def test_wrappers_take_bytes_and_give_unit_length(tmp_path):
    inputs = L.Input([32, 32, 3])
    model = tf.keras.Model(inputs, GAP(size=8).build(QUICK.build(inputs)))
    pixels = np.random.default_rng(0).integers(0, 256, [3, 32, 32, 3], np.uint8)
    both = surgery.wrapped(model)
    assert both.input.dtype == tf.uint8
    expected = tf.math.l2_normalize(model((pixels.astype(np.float32) - 127.5) / 128), axis=1)
    np.testing.assert_allclose(both(pixels), expected, rtol=1e-4, atol=1e-5)
    both.save(tmp_path / "wrapped.h5")
    loaded = tf.keras.models.load_model(tmp_path / "wrapped.h5", compile=False)
    np.testing.assert_allclose(both(pixels), loaded(pixels), rtol=1e-6)
    undone = surgery.prelu_to_depthwise(loaded)  # layers of a nested, loaded model too
    np.testing.assert_allclose(both(pixels), undone(pixels), rtol=1e-3, atol=1e-5)


def test_dynamic_size():
    inputs = L.Input([32, 32, 3])
    model = tf.keras.Model(inputs, GAP(size=8).build(QUICK.build(inputs)))
    free = surgery.dynamic_size(model)
    np.testing.assert_allclose(model(images(32)), free(images(32)), rtol=1e-5)
    assert free(images(48)).shape == (2, 8)
    fixed = tf.keras.Model(inputs, GDC(size=8).build(QUICK.build(inputs)))
    with pytest.raises(SpecError, match="fixes the size of the input.*GAP"):
        surgery.dynamic_size(fixed)


def test_surgery_in_a_spec():
    changed = Changed(backbone=QUICK, by=(PReLUToDepthwise(), SetNorms(momentum=0.8), Freeze(("stem_*",))))
    assert changed.image_size == 32
    inputs = L.Input([32, 32, 3])
    model = tf.keras.Model(inputs, GDC(size=8).build(changed.build(inputs)))
    inner = model.get_layer("backbone")
    assert inner.get_layer("stem_bn").momentum == 0.8 and not inner.get_layer("stem_bn").trainable
    assert not any("stem_conv" in v.name for v in model.trainable_variables)
    assert model(images(32)).shape == (2, 8)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (PReLUToDepthwise(), "no PReLU layer found"),
        (UpSamplingToTranspose(), "no UpSampling2D layer found"),
        (ReLUToPReLU(), r"no ReLU layer found \(there are ReLU6: capped=True"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_surgery_that_does_not_apply_is_refused(step, message):
    backbone = Changed(backbone=QUICK.but(activation="relu6"), by=(step,))
    with pytest.raises(SpecError, match=f"step 1 .{type(step).__name__}.: {message}"):
        backbone.build(L.Input([32, 32, 3]))
