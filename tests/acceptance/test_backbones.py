"""Every backbone at its full size: the contract, and parameter counts against papers and references."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import tensorflow as tf

sys.path.append(str(Path(__file__).parents[1] / "workbench" / "models" / "backbones"))
import contract

from workbench.models.backbones import sizes as measured
from workbench.models.backbones.count_ops import network, sizes
from workbench.models.backbones.faceresnet import FaceResNet
from workbench.models.backbones.ghostnet import GhostNet
from workbench.models.backbones.keras_nets import APPLICATIONS, KerasApplication, MobileNetV2, MobileNetV3
from workbench.models.backbones.mobilefacenet import MobileFaceNet
from workbench.models.backbones.mobilenet import MobileNet
from workbench.models.backbones.registry import TABLE, backbone
from workbench.models.backbones.vargfacenet import VarGFaceNet
from workbench.models.embeddings import GDC, E, F
from workbench.spec.interfaces import Embedding

pytestmark = pytest.mark.tensorflow
TOP = 2048 * 1000 + 1000  # a 1000-way classifier on 2048 maps, which published counts include

# ResNet-50 with its top (torchvision, timm), its last three 3 x 3 convolutions of 512 filters replaced by
# queries, keys and values, and relative positions of 128 numbers at 7 x 7 once and at 4 x 4 twice
BOTNET = 25_557_032 + 3 * (3 - 9) * 512**2 + 128 * (2 * 13 + 2 * 2 * 7)

# name: (trained parameters as published, what the count has beside the backbone, tolerance)
PUBLISHED = {
    "se_resnext50": (27_559_896, TOP, 0),  # tests of pytorchcv, for its own and Cadene's; timm: 27.56 million
    "se_resnext101": (48_955_416, TOP, 0),  # as above; timm: 48.96 million
    "resnest50": (27_483_240, TOP, 0),  # tests of pytorchcv, for the authors' resnest50; timm: 27.48 million
    "resnest101": (48_275_016, TOP, 0),  # as above
    "botnet50": (BOTNET, TOP, 0),  # the paper's table 1: 20.8 million
    # pytorchcv's tests say 5,180,840; there, shortcuts are 3 x 3 instead of 5 x 5 (of 24 and of 112 channels),
    # squeeze-excite has 18 and 30 channels instead of 20 and 32, and the top a norm instead of a bias
    "ghostnet": (5_180_840 + 16 * (24 + 112) + 2 * (145 + 241) - 1280, 960 * 1280 + 1280 + 1281 * 1000, 0),
    "ghostnet_1.3": (
        7.36e6,
        1248 * 1280 + 1280 + 1281 * 1000,
        0.005e6,
    ),  # keras_cv_attention_models, PaddleClas
}
KERAS = {
    "mobilenet": 3_228_864,
    "mobilenet_v2": 2_257_984,
    "mobilenet_v3_small": 939_120,
    "mobilenet_v3_large": 2_996_352,
    "resnet50": 23_587_712,
    "resnet101": 42_658_176,
    "resnet152": 58_370_944,
    "resnet50_v2": 23_564_800,
    "resnet101_v2": 42_626_560,
    "resnet152_v2": 58_331_648,
    "efficientnet_b0": 4_049_571,
    "efficientnet_b7": 64_097_687,
    "efficientnet_v2_b0": 5_919_312,
    "efficientnet_v2_l": 117_746_848,
}
FACES = {
    "r18": 24_025_600,
    "r34": 34_139_328,
    "r50": 43_590_848,
    "r100": 65_156_160,
}  # arcface_torch, iresnet.py


@pytest.fixture(autouse=True)
def _clear():
    yield
    tf.keras.backend.clear_session()


@pytest.mark.timeout(1800)  # the largest EfficientNets
@pytest.mark.parametrize("name", TABLE)
def test_contract_and_sizes_at_full_size(name, tmp_path):
    part = backbone(name)
    contract.check(part, tmp_path)
    found = sizes(network(part))
    assert measured.AT_112[name] == (found.parameters, found.multiply_adds, found.activations, found.output)
    if name in KERAS:
        assert found.parameters == KERAS[name]
    if name in PUBLISHED:
        published, beside, tolerance = PUBLISHED[name]
        assert abs(found.trainable + beside - published) <= tolerance


def trained(name: str, head: Embedding) -> int:
    """Return the trained parameters of a network with an embedding head."""
    inputs = tf.keras.Input([112, 112, 3])
    model = tf.keras.Model(inputs, head.build(backbone(name).build(inputs)))
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize("name", FACES)
def test_face_networks_with_their_embedding(name):
    assert trained(name, E(size=512, bias=True)) == FACES[name]


def test_mobilefacenet_is_the_papers():
    slopes = 7_552  # of PReLU, which the paper's 0.99 million leave out
    assert trained("mobilefacenet", GDC(size=128)) - slopes == 995_584


def test_vargfacenet_is_the_authors():
    """The count of `VarGFaceNet.py` (github zma-c-137/VarGFaceNet), layer by layer, without Keras."""
    assert trained("vargfacenet", F(size=512, bias=True)) == vargfacenet()


def vargfacenet() -> int:
    def separable(before: int, after: int, active: bool, factor: int = 2) -> int:
        middle = before * factor  # 3 x 3 over groups of 8 channels, norm, PReLU, 1 x 1, norm
        return middle * (9 * 8 + 2 + 1) + middle * after + after * (3 if active else 2)

    def block(before: int, after: int, factor: int = 2) -> int:
        gate = after * (after // 4) * 2 + after // 4 * 2 + after
        shortcut = 0 if before == after and factor == 2 else separable(before, after, False, factor)
        paths = separable(before, after, True, factor) + separable(after, after, False, factor)
        return paths + gate + after + shortcut

    def down(before: int, after: int) -> int:
        return 3 * separable(before, after, False) + separable(after, after, False) + 2 * after

    count = 40 * (27 + 3) + block(40, 40, factor=1)
    for before, after, repeats in ((40, 80, 3), (80, 160, 7), (160, 320, 4)):
        count += down(before, after) + (repeats - 1) * block(after, after)
    count += 1024 * (320 + 3) + 1024 * (49 * 8 + 2) + 512 * (1024 + 3)
    return count + 512 * (512 + 1 + 2)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_network_of_keras_at_its_smallest_input(name, tmp_path):
    contract.check(KerasApplication(name, image_size=APPLICATIONS[name]), tmp_path)


SMALL = (
    MobileNet(),
    MobileNetV2(),
    MobileNetV3(),
    MobileFaceNet(),
    MobileFaceNet(form="keras_insightface"),
    GhostNet(),
    GhostNet(form="keras_insightface"),
    FaceResNet(),
    VarGFaceNet(form="keras_insightface", activation="relu"),
)


@pytest.mark.parametrize("part", SMALL, ids=str)
def test_contract_of_other_quick_forms(part, tmp_path):
    """Those that the quick contract leaves out, as it has one form of each class."""
    found = sizes(contract.check(part.quick(), tmp_path))
    assert found.parameters < 3e6 and found.multiply_adds < 80e6
