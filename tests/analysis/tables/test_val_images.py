"""The number of images behind `val_accuracy`, as the settings of a run tell it."""

from __future__ import annotations

import pytest

from analysis.tables.val_images import val_images


@pytest.mark.parametrize(
    ("run", "images"),
    [
        ({"validation": "KerasData", "validation.name": "cifar10", "validation.subset": "test"}, 10000),
        (
            {"data": "KerasData", "data.name": "fashion_mnist", "data.subset": "train", "data.hold_out": 0.2},
            12000,
        ),
        ({"data": "ImageFolder", "data.images": 5822653.0, "data.hold_out": 0.05}, 291133),
        ({"data": "Digits", "data.hold_out": 0.2}, 359),
        ({"data": "SyntheticFaces", "data.identities": 20, "data.images": 30, "data.hold_out": 0.1}, 60),
        ({"data": "ImageFolder", "data.hold_out": 0.1}, 0),
        ({}, 0),
    ],
)
def test_images_that_are_held_out(run: dict, images: int):
    assert val_images(run, "val_accuracy") == images
    assert val_images(run, "lfw") == 0
