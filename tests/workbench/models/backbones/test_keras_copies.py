"""Keras's networks with settings laid over them: what is replaced, what is not, and at which sizes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workbench.models.backbones import custom_objects, keras_scaled
from workbench.models.backbones.bottleneck import SEResNeXt
from workbench.models.backbones.count_ops import network
from workbench.models.backbones.ghostnet import GhostNet
from workbench.models.backbones.keras_nets import (
    EfficientNet,
    KerasApplication,
    MobileNetV3,
    ResNet,
    ResNetV2,
)
from workbench.surgery.rewrite import carry

pytestmark = pytest.mark.tensorflow
L = tf.keras.layers


def of_kind(model, kind):
    return [layer for layer in model.layers if type(layer) is kind]


def test_an_activation_takes_the_place_of_hard_swish_and_leaves_gates_alone():
    part = MobileNetV3(image_size=32, variant="small", width=0.25, stem_stride=1)
    plain, changed = network(part), network(part.but(activation="prelu"))
    squeezes = len(of_kind(plain, L.GlobalAveragePooling2D))
    hard_swishes = len(of_kind(plain, L.Multiply)) - squeezes
    relus = len(of_kind(plain, L.ReLU)) - 2 * squeezes - hard_swishes  # two within each squeeze-excite
    assert (squeezes, hard_swishes, relus) == (9, 18, 5)  # the paper's table 2, its top left out
    assert len(of_kind(changed, L.PReLU)) == hard_swishes + relus
    assert len(of_kind(changed, L.Multiply)) == squeezes
    assert len(of_kind(changed, L.ReLU)) == 2 * squeezes


def test_an_activation_within_convolutions_is_replaced_too():
    part = KerasApplication("VGG16", image_size=32)
    plain, changed = network(part), network(part.but(activation="prelu", prelu_start=0.0))
    slopes = of_kind(changed, L.PReLU)
    assert len(slopes) == 13
    kernels = [w for layer in of_kind(changed, L.Conv2D) for w in layer.weights]
    for new, old in zip(kernels, plain.weights, strict=True):
        new.assign(old)
    x = tf.random.stateless_normal([2, 32, 32, 3], [1, 5])
    np.testing.assert_allclose(changed(x), plain(x), rtol=1e-4, atol=1e-6)
    slopes[0].set_weights([np.full_like(slopes[0].get_weights()[0], 0.25)])
    assert float(tf.reduce_max(tf.abs(changed(x) - plain(x)))) > 1e-4


def test_conv_bias_is_that_of_convolutions_and_not_of_gates():
    model = network(EfficientNet(image_size=32, width=0.125, depth=0.34, conv_bias=False))
    convs = [layer for layer in model.layers if isinstance(layer, L.Conv2D)]
    assert {layer.use_bias for layer in convs if "_se_" not in layer.name} == {False}
    assert {layer.use_bias for layer in convs if "_se_" in layer.name} == {True}


def test_padding_of_resnet_v2():
    part = ResNetV2(image_size=32, width=0.125, depth=0.34)
    explicit, same = network(part), network(part.but(padding="same"))
    assert len(of_kind(explicit, L.ZeroPadding2D)) > 3 and not of_kind(same, L.ZeroPadding2D)
    assert {layer.padding for layer in of_kind(same, L.Conv2D)} == {"same"}
    assert explicit.output_shape == same.output_shape


def test_weights_follow_their_names_where_a_bias_comes_or_goes():
    x = tf.random.stateless_normal([1, 5, 5, 2], [1, 1])
    old, new = L.Conv2D(3, 3, bias_initializer="ones", name="old"), L.Conv2D(3, 3, use_bias=False)
    old(x), new(x)
    carry(old, new)
    np.testing.assert_allclose(new(x) + 1, old(x), rtol=1e-5)


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (lambda shape: keras_scaled.resnet(50, 1, 1.0, 1.0, shape), "ResNet50"),
        (lambda shape: keras_scaled.resnet(50, 2, 1.0, 1.0, shape), "ResNet50V2"),
        (lambda shape: keras_scaled.efficientnet("B0", 1, 1.0, 1.0, shape), "EfficientNetB0"),
        (lambda shape: keras_scaled.efficientnet("B0", 2, 1.0, 1.0, shape), "EfficientNetV2B0"),
    ],
    ids=["ResNet50", "ResNet50V2", "EfficientNetB0", "EfficientNetV2B0"],
)
def test_a_network_scaled_by_one_is_kerass_own(made, named):
    ours = made((32, 32, 3))
    theirs = getattr(tf.keras.applications, named)(include_top=False, weights=None, input_shape=(32, 32, 3))
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]


def test_width_and_depth_scale_what_they_say():
    part = ResNet(image_size=32)
    half = network(part.but(width=0.5, depth=0.5))
    assert half.output_shape[-1] == 1024 and half.get_layer("conv3_block2_2_conv").filters == 64
    shallow = network(part.but(width=0.125, depth=0.5))
    blocks = {layer.name.split("_1_conv")[0] for layer in shallow.layers if layer.name.endswith("_1_conv")}
    assert len(blocks) == 2 + 2 + 3 + 2  # of 3, 4, 6 and 3


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (GhostNet(image_size=64, width=0.25), GhostNet(image_size=64, width=0.25, stem_stride=1)),
        (
            SEResNeXt(image_size=64, width=0.5, depth=0.34),
            SEResNeXt(image_size=64, width=0.5, depth=0.34, stem_stride=2),
        ),
        (
            ResNet(image_size=64, width=0.125, depth=0.34),
            ResNet(image_size=64, width=0.125, depth=0.34, stem_stride=1),
        ),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_smaller_stride_of_the_stem_keeps_resolution(small, large):
    assert network(small).output_shape[1:3] == (2, 2) and network(large).output_shape[1:3] == (4, 4)


def test_private_layers_of_keras_are_found_again():
    assert set(custom_objects.layers()) == {"LayerScale", "StochasticDepth", "CustomScaleLayer"}
