"""The contract over the small form of every backbone, parameter counts, equality with references, errors."""

from __future__ import annotations

import importlib
import math

import contract
import numpy as np
import pytest
import tensorflow as tf

import workbench
from workbench.errors import SpecError
from workbench.models.backbones import keras_nets
from workbench.models.backbones import sizes as measured
from workbench.models.backbones.attention import relative_to_absolute
from workbench.models.backbones.bottleneck import BoTNet, ResNeSt, SEResNeXt
from workbench.models.backbones.count_ops import network, sizes
from workbench.models.backbones.faceresnet import FaceResNet
from workbench.models.backbones.ghostnet import GhostNet
from workbench.models.backbones.keras_nets import (
    EfficientNet,
    EfficientNetV2,
    KerasApplication,
    MobileNetV2,
    MobileNetV3,
    ResNet,
    ResNetV2,
)
from workbench.models.backbones.mobilefacenet import MobileFaceNet
from workbench.models.backbones.mobilenet import MobileNet
from workbench.models.backbones.registry import TABLE, backbone
from workbench.models.backbones.small import MLP, LeakyCNN, PlainCNN
from workbench.models.backbones.vargfacenet import VarGFaceNet
from workbench.models.embeddings import GAP, GDC, E, F
from workbench.pixels import normalise
from workbench.spec.part import to_json

pytestmark = pytest.mark.tensorflow

# One form of each class, with as many settings off their defaults as it has; tests/acceptance has the others.
SMALL = {
    "MobileNet prelu": MobileNet(activation="prelu", conv_bias=True).quick(),
    "MobileNetV2 prelu": MobileNetV2(activation="prelu", norm_momentum=0.8, conv_bias=True).quick(),
    "MobileNetV3 prelu": MobileNetV3(activation="prelu", conv_bias=True).quick(),
    "ResNet": ResNet().quick(),
    "ResNetV2 swish": ResNetV2(padding="same", activation="swish", conv_bias=False).quick(),
    "EfficientNet": EfficientNet(activation="prelu").quick(),
    "EfficientNetV2": EfficientNetV2().quick(),
    "SE-MobileFaceNet": MobileFaceNet(squeeze_excite_ratio=0.25).quick(),
    "GhostNet swish": GhostNet(activation="swish", squeeze_excite_activation="prelu").quick(),
    "SE-FaceResNet": FaceResNet(squeeze_excite_ratio=0.25).quick(),
    "VarGFaceNet": VarGFaceNet().quick(),
    "BoTNet": BoTNet(shortcut_activation="relu").quick(),
    "ResNeSt": ResNeSt().quick(),
    "SEResNeXt": SEResNeXt(groups=8).quick(),
    "PlainCNN": PlainCNN().quick(),
    "MLP": MLP().quick(),
    "LeakyCNN": LeakyCNN().quick(),
}


@pytest.mark.parametrize("name", SMALL)
def test_contract_of_the_quick_form(name, tmp_path):
    found = sizes(contract.check(SMALL[name], tmp_path))
    assert found.parameters < 3e6 and found.multiply_adds < 80e6, "no form for --quick"


def test_every_name_has_a_quick_form_in_the_contract():
    assert {type(backbone(name).quick()) for name in TABLE} == {type(part) for part in SMALL.values()}
    small = {KerasApplication(name, image_size=128).quick().network for name in keras_nets.APPLICATIONS}
    assert "DenseNet121" in small and len(small) == 16


def test_relative_to_absolute_shift_of_the_issue():
    found = relative_to_absolute(tf.reshape(tf.range(45), [3, 3, 5])).numpy().tolist()
    assert found == [
        [[2, 3, 4], [6, 7, 8], [10, 11, 12]],
        [[17, 18, 19], [21, 22, 23], [25, 26, 27]],
        [[32, 33, 34], [36, 37, 38], [40, 41, 42]],
    ]


def test_attention_is_its_formula():
    from workbench.models.backbones.attention import PositionedAttention

    height, width, heads, depth = 3, 2, 2, 4
    layer = PositionedAttention(heads)
    qkv = tf.random.stateless_normal([1, height, width, 3 * heads * depth], [3, 1])
    found = layer(qkv).numpy()[0]
    q, k, v = (part.reshape(height, width, heads, depth) for part in np.split(qkv.numpy()[0], 3, axis=-1))
    q = q * depth**-0.5
    rows, columns = layer.rows.numpy(), layer.columns.numpy()
    for head in range(heads):
        for y in range(height):
            for x in range(width):
                logits = np.array(
                    [
                        [
                            q[y, x, head]
                            @ (k[i, j, head] + rows[i - y + height - 1] + columns[j - x + width - 1])
                            for j in range(width)
                        ]
                        for i in range(height)
                    ]
                )
                weights = np.exp(logits - logits.max())
                weights /= weights.sum()  # over both axes of the keys
                expected = np.einsum("ij,ijd->d", weights, v[:, :, head])
                np.testing.assert_allclose(
                    found[y, x, head * depth : (head + 1) * depth], expected, rtol=1e-4, atol=1e-5
                )


def test_mobilenet_is_kerass_own_to_the_bit():
    ours = network(MobileNet(image_size=64, activation="relu6", norm_epsilon=1e-3, width=0.25))
    theirs = tf.keras.applications.MobileNet(
        input_shape=(64, 64, 3), alpha=0.25, include_top=False, weights=None
    )
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    x = tf.random.stateless_normal([2, 64, 64, 3], [1, 5])
    np.testing.assert_array_equal(ours(x), theirs(x))


def test_a_keras_network_without_changes_is_kerass_own():
    part = MobileNetV2(image_size=64, width=0.35)
    ours = network(part)
    theirs = tf.keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=0.35, include_top=False, weights=None
    )
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    x = tf.random.stateless_normal([2, 64, 64, 3], [1, 5])
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_settings_reach_kerass_layers():
    model = network(
        MobileNetV2(
            image_size=32,
            width=0.35,
            activation="prelu",
            norm_momentum=0.7,
            norm_epsilon=0.01,
            conv_bias=True,
            stem_stride=1,
        )
    )
    kinds = [type(layer).__name__ for layer in model.layers]
    assert "PReLU" in kinds and "ReLU" not in kinds
    norms = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.7, 0.01)}
    assert model.get_layer("Conv1").strides == (1, 1) and model.get_layer("Conv1").use_bias
    assert model.output_shape[1:3] == (2, 2)  # twice the map that a stride of two leaves


def test_embedding_heads_have_the_parameters_they_state():
    h = w = 4
    c, d, p = 64, 16, 24
    features = tf.keras.Input([h, w, c])

    def count(head):
        return tf.keras.Model(features, head.build(features)).count_params()

    assert count(GDC(size=d)) == h * w * c + 4 * c + c * d + 4 * d
    assert count(E(size=d)) == 4 * c + h * w * c * d + 4 * d
    assert count(GAP(size=d)) == 4 * c + c * d + 4 * d
    assert count(GAP(size=d, bias=True, normalised=False)) == 4 * c + c * d + d
    assert count(F(size=d)) == h * w * c * d + 4 * d
    before = c * p + 4 * p  # a pointwise convolution and its norm, after which there are p maps
    assert count(GDC(size=d, pointwise=p)) == before + h * w * p + 4 * p + p * d + 4 * d
    assert count(E(size=d, pointwise=p)) == before + 4 * p + h * w * p * d + 4 * d
    assert count(GAP(size=d, pointwise=p)) == before + 4 * p + p * d + 4 * d
    assert count(F(size=d, pointwise=p)) == before + h * w * p * d + 4 * d
    assert count(F(size=d, bias=True, dropout=0.4)) == h * w * c * d + d + 4 * d
    plain = tf.keras.Model(
        features, GDC(size=d, norm_scale=False, norm_bias=False, norm_epsilon=0.1).build(features)
    )
    last = plain.get_layer("pre_embedding")
    assert (last.scale, last.center, last.epsilon) == (False, False, 0.1) and last.trainable_weights == []


def test_heads_that_need_maps_refuse_flat_features():
    flat = tf.keras.Input([64])
    assert E(size=4).build(flat).shape[1:] == (4,)
    for head in (GDC(size=4), GAP(size=4), F(size=4, pointwise=8)):
        with pytest.raises(SpecError, match="flat features of 64 numbers.*take E or F"):
            head.build(flat)


def test_counts_of_small_networks_by_hand():
    assert sizes(network(PlainCNN())).parameters == 896 + 18_496 + 36_928 + 65_600
    assert sizes(network(MLP())).parameters == 2353 * 128 + 129 * 128
    assert sizes(network(LeakyCNN())).parameters == 28 * 256 + (9 * 256 + 1) * 512
    assert sizes(network(LeakyCNN(filters=(16, 32)))).parameters == 28 * 16 + (9 * 16 + 1) * 32


def test_mobilefacenet_has_the_papers_parameters():
    model = tf.keras.Model(i := tf.keras.Input([112, 112, 3]), GDC(size=128).build(MobileFaceNet().build(i)))
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert trained == pytest.approx(0.99e6, rel=0.02)  # the paper's table 2: 0.99 million


def insightface(cls, **settings):
    """Return the parameters of Keras_insightface's form of a network with an embedding of 512."""
    part = cls(form="keras_insightface", **settings)
    model = tf.keras.Model(i := tf.keras.Input([112, 112, 3]), GDC(size=512).build(part.build(i)))
    return model.count_params()


def test_the_forms_of_keras_insightface_have_its_parameters():
    """The numbers are those of its own `models.buildin_models(name, emb_shape=512, output_layer="GDC")`."""
    assert insightface(GhostNet, width=1.3) == 4_056_312
    assert insightface(MobileFaceNet) == 939_904
    assert insightface(VarGFaceNet, activation="relu", squeeze_excite_ratio=0) == 3_554_016


def test_mobilefacenets_other_form_has_no_shortcut_at_the_start_of_a_stage():
    def added(form):
        layers = network(MobileFaceNet(form=form)).layers
        return {layer.name for layer in layers if isinstance(layer, tf.keras.layers.Add)}

    assert added("paper") - added("keras_insightface") == {"stage3_block1_add", "stage5_block1_add"}


def test_a_form_does_not_change_the_identity_of_what_was_recorded_before_it():
    assert "form" not in to_json(MobileFaceNet(), identity=True)
    assert to_json(MobileFaceNet(form="keras_insightface"), identity=True)["form"] == "keras_insightface"


def test_sizes_by_hand():
    inputs = tf.keras.Input([8, 8, 3])
    x = tf.keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = tf.keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = tf.keras.layers.Conv2D(8, 3, groups=2, padding="same")(x)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(5)(tf.keras.layers.Flatten()(x)))
    found = sizes(model)
    assert found.multiply_adds == 16 * 27 * 4 + 16 * 9 * 4 + 16 * 9 * 2 * 8 + 128 * 5
    assert found.activations == 64 + 64 + 128 + 128 + 5
    assert found.activation_bytes(10) == 389 * 40
    assert (found.parameters, found.output) == (112 + 40 + 9 * 2 * 8 + 8 + 645, (5,))


@pytest.mark.parametrize("name", ["mobilenet", "plain_cnn", "leaky_student"])
def test_the_measured_table_is_that_of_the_networks(name):
    found = sizes(network(backbone(name)))
    assert measured.AT_112[name] == (found.parameters, found.multiply_adds, found.activations, found.output)


def test_every_name_is_a_part_of_the_package_and_measured():
    for name, (place, _) in TABLE.items():
        module, _, cls = place.partition(":")
        made = backbone(name)
        assert type(made) is getattr(importlib.import_module(module), cls) is getattr(workbench, cls)
        assert name in measured.AT_112


def test_the_list_of_applications_is_kerass():
    known = {
        name
        for name in dir(tf.keras.applications)
        if name[0].isupper() and callable(getattr(tf.keras.applications, name))
    }
    assert set(keras_nets.APPLICATIONS) == known


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: backbone("mobilefacenett"), "no backbone 'mobilefacenett'.*did you mean 'mobilefacenet'"),
        (lambda: KerasApplication("DenseNet12"), "no network 'DenseNet12'.*DenseNet121"),
        (lambda: MobileNet(image_size=24), "24 pixels is too small for the strides of 32.*stem_stride"),
        (lambda: MobileNet(image_size=24, stem_stride=1), None),
        (lambda: KerasApplication("Xception", image_size=64), "64 pixels is too small.*at least 71"),
        (lambda: ResNetV2(layers=51), "51"),
        (lambda: PlainCNN(image_size=18, filters=(8, 8, 8, 8)), "leave nothing of 18 pixels"),
        (lambda: BoTNet(image_size=16), "too small"),
        (lambda: ResNet(width=0.5, weights="imagenet"), "weights='imagenet' for width and depth 1 alone"),
    ],
)
def test_bad_settings_are_refused(make, message):
    if message is None:
        make()
        return
    with pytest.raises(SpecError, match=message):
        make()


def test_kernels_start_as_the_setting_says() -> None:
    """Deviations of a layer's kernels: Glorot's by inputs and outputs, He's by the inputs, or by the outputs."""
    inputs, outputs = (
        9 * 16,
        9 * 64,
    )  # of a kernel 3 x 3 from 16 to 64 channels; a depthwise one has 9 outputs
    wanted = {
        "glorot_uniform": (2 / (inputs + outputs), 2 / (inputs + 9)),
        "he_normal": (2 / inputs, 2 / inputs),
        "he_fan_out": (2 / outputs, 2 / 9),
    }
    for name, variances in wanted.items():
        net, x = FaceResNet(kernel_initializer=name), tf.keras.Input((8, 8, 16))  # type: ignore[arg-type]
        tf.keras.utils.set_random_seed(0)
        model = tf.keras.Model(x, [net.conv(x, 64, 3, "conv"), net.depthwise(x, 3, "dw")])
        for layer, variance in zip(("conv", "dw"), variances):
            kernel = model.get_layer(layer).get_weights()[0]
            assert np.var(kernel) == pytest.approx(variance, rel=0.25), (name, layer)
    assert "kernel_initializer" not in str(to_json(FaceResNet(), identity=True))


def test_small_nets_take_pixels_as_keras_examples_do() -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1)), 3, axis=3).astype(np.uint8)
    inputs = tf.keras.Input((28, 28, 3))
    seen = tf.keras.Model(inputs, MLP(pixels="unit", grey=True).taken(inputs))(normalise(grey))
    np.testing.assert_allclose(seen, grey[..., :1] / 255.0, atol=1e-6)
    for net, count in (
        (
            MLP(units=(512,), pixels="unit", grey=True),
            785 * 512,
        ),  # as `Flatten(input_shape=(28, 28)), Dense(512)`
        (PlainCNN(pixels="unit"), 121_920),
        (LeakyCNN(pixels="unit"), 1_187_328),
    ):
        assert network(net).count_params() == count
    assert "pixels" not in str(to_json(MLP(), identity=True))
