"""Every backbone at its full size: the contract, and parameter counts against papers and references."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import tensorflow as tf

sys.path.append(str(Path(__file__).parents[1] / "workbench" / "backbones"))
import contract

from workbench.backbones import measured
from workbench.backbones.measure import network, sizes
from workbench.backbones.table import TABLE, backbone
from workbench.embeddings import E, F

pytestmark = pytest.mark.tensorflow
TOP = 2048 * 1000 + 1000  # a 1000-way classifier on 2048 maps, which published counts include

# name: (trained parameters as published, what the count has beside the backbone, tolerance)
PUBLISHED = {
    "se_resnext50": (27_559_896, TOP, 0),  # timm seresnext50_32x4d
    "se_resnext101": (48_955_416, TOP, 0),  # timm seresnext101_32x4d
    "resnest50": (27_483_240, TOP, 0),  # the authors' resnest50
    "resnest101": (48_275_016, TOP, 0),  # the authors' resnest101
    "botnet50": (20.8e6, TOP, 0.1e6),  # the paper's table 1
    "ghostnet": (5.18e6, 960 * 1280 + 1280 + 1281 * 1000, 0.01e6),  # the authors' and timm's ghostnet_100
    "ghostnet_1.3": (7.36e6, 1248 * 1280 + 1280 + 1281 * 1000, 0.01e6),  # timm's ghostnet_130
}
KERAS = {
    "mobilenet": 3_228_864, "mobilenet_v2": 2_257_984, "mobilenet_v3_small": 939_120,
    "mobilenet_v3_large": 2_996_352, "resnet50": 23_587_712, "resnet101": 42_658_176, "resnet152": 58_370_944,
    "resnet50_v2": 23_564_800, "resnet101_v2": 42_626_560, "resnet152_v2": 58_331_648,
    "efficientnet_b0": 4_049_571, "efficientnet_b7": 64_097_687, "efficientnet_v2_b0": 5_919_312,
    "efficientnet_v2_l": 117_746_848,
}  # fmt: skip
FACES = {"r18": 24.03e6, "r34": 34.14e6, "r50": 43.59e6, "r100": 65.16e6}  # arcface_torch


@pytest.fixture(autouse=True)
def _clear():
    yield
    tf.keras.backend.clear_session()


@pytest.mark.parametrize("name", TABLE)
def test_contract_and_sizes_at_full_size(name, tmp_path):
    part = backbone(name)
    contract.check(part, tmp_path)
    contract.check_mixed_precision(part)
    found = sizes(network(part))
    assert measured.AT_112[name] == (found.parameters, found.multiply_adds, found.activations, found.output)
    if name in KERAS:
        assert found.parameters == KERAS[name]
    if name in PUBLISHED:
        published, beside, tolerance = PUBLISHED[name]
        assert abs(found.trainable + beside - published) <= tolerance


@pytest.mark.parametrize("name", [*FACES, "vargfacenet"])
def test_face_networks_with_their_embedding(name):
    part = backbone(name)
    head = F(size=512) if name == "vargfacenet" else E(size=512, bias=True)
    inputs = tf.keras.Input([112, 112, 3])
    model = tf.keras.Model(inputs, head.build(part.build(inputs)))
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    expected, tolerance = (5.0e6, 0.25e6) if name == "vargfacenet" else (FACES[name], 0.01e6)
    assert abs(trained - expected) <= tolerance
