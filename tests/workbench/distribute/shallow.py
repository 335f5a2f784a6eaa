"""A shallow network with batch normalisation, and experiments on it whose first steps can be compared.

A deep network multiplies a rounding error of its first step a thousandfold in each of the next ones (so
does one device against itself with weights changed by 1e-7), and where a ReLU turns on a rounding error,
one pixel changes a whole gradient. This network is shallow and smooth, so that ten steps on other
devices can be held against one device to a few 1e-5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import GDC, SGD, ArcFace, Experiment, Flip, HeldOutPairs, SyntheticFaces
from workbench.models.backbones.layers import Network
from workbench.spec.part import part
from workbench.spec.stage import Stage

if TYPE_CHECKING:
    import tensorflow as tf


@part
class Shallow(Network):
    """Three normalised convolutions: [B, s/8, s/8, 32]."""

    def stride(self) -> int:
        return 8

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self.conv_unit(inputs, 16, 3, "first", stride=2)
        x = self.conv_unit(x, 24, 3, "second", stride=2)
        return self.conv_unit(x, 32, 3, "third", stride=2)


def shallow(**changes: Any) -> Experiment:
    """Return two epochs of 6 steps of 16 images, without dropout (whose masks differ between devices)."""
    settings: dict[str, Any] = {
        "data": SyntheticFaces(identities=15, images=8),
        "evaluate": HeldOutPairs(identities=3, pairs=24, name="unseen"),
        "backbone": Shallow(image_size=32, activation="swish"),
        "embedding": GDC(size=16),
        "stages": (Stage(loss=ArcFace(scale=16), epochs=2),),
        "optimizer": SGD(momentum=0.9),
        "learning_rate": 0.01,
        "weight_decay": 5e-4,
        "augment": Flip(),
        "batch_size": 16,
        "log_model": "none",
    }
    return Experiment(**{**settings, **changes})
