"""MobileNet (Howard et al. 2017), the small network of depthwise separable convolutions."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from workbench.lazy import tf
from workbench.models.backbones.layers import Network
from workbench.spec.part import part, setting


@part
class MobileNet(Network):
    """MobileNet V1: 13 depthwise separable convolutions (Howard et al. 2017, table 1).

    3,228,864 parameters without a top at width 1 (`keras.applications.MobileNet(include_top=False)`;
    the paper's 4.2 million count its 1000-way classifier too). 112 pixels give maps of 3 x 3 x 1024.
    """

    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")
    depth: int = setting(5, at_least=1, doc="repeats of the 512-filter block")
    stem_stride: Literal[1, 2] = setting(2, doc="stride of the first convolution; 1 for small images")

    def stride(self) -> int:
        return 16 * self.stem_stride

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self.conv_unit(
            _pad(inputs, self.stem_stride, "stem"),
            int(32 * self.width),
            3,
            "stem",
            stride=self.stem_stride,
            padding=_padding(self.stem_stride),
        )
        for number, (filters, stride) in enumerate(self._blocks(), start=1):
            name = f"block{number}"
            x = self.depthwise_unit(_pad(x, stride, name), 3, name, stride=stride, padding=_padding(stride))
            x = self.conv_unit(x, int(filters * self.width), 1, name)
        return x

    def _blocks(self) -> list[tuple[int, int]]:
        """Return (filters, stride) of every block."""
        first = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
        return [*first, *[(512, 1)] * self.depth, (1024, 2), (1024, 1)]

    def quick(self) -> Self:
        return self.but(image_size=32, width=0.25, depth=1, stem_stride=1)


def _pad(x: tf.Tensor, stride: int, name: str) -> tf.Tensor:
    """Return `x` with one row and column more below and right before a stride of two, as Keras's own."""
    if stride == 1:
        return x
    return tf.keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)


def _padding(stride: int) -> str:
    return "same" if stride == 1 else "valid"
