"""The residual networks of face recognition (Deng et al. 2019, "ArcFace", their "IResNet" or "LResNet-IR")."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from workbench.lazy import tf
from workbench.models.backbones.layers import Activation, Network
from workbench.spec.part import part, setting

REPEATS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}


@part
class FaceResNet(Network):
    """Residual blocks of batch norm first, two 3 x 3 convolutions and PReLU between, without max-pooling.

    A block is norm, conv, norm, PReLU, conv (with the stride), norm, and squeeze-excite where it is on.
    With `E(size=512, bias=True)` after it 24,025,600, 34,139,328, 43,590,848 and 65,156,160
    parameters for 18, 34, 50 and 100 layers: counted layer by layer from InsightFace's arcface_torch
    (`backbones/iresnet.py`; its last norm's 512 scales are among them and stay fixed there), whose README
    also gives the multiply-adds: 2.6, 6.3 and 12.1 thousand million for 18, 50 and 100 layers.
    112 pixels give maps of 7 x 7 x 512.
    """

    activation: Activation = setting("prelu", doc="activation after the stem and within blocks")
    layers: Literal[18, 34, 50, 100] = setting(50, doc="convolutions and fully connected layers, by name")
    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")
    depth: float = setting(1.0, above=0, at_most=2, doc="multiplier on the repeats of blocks")
    stem_stride: Literal[1, 2] = setting(1, doc="stride of the first convolution")
    squeeze_excite_ratio: float = setting(
        0.0,
        at_least=0,
        at_most=1,
        doc="channels inside squeeze-excite per channel (the field: 1/16); 0 is off",
    )

    def stride(self) -> int:
        return 16 * self.stem_stride

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self.conv_unit(inputs, self._filters(64), 3, "stem", stride=self.stem_stride)
        for stage, repeats in enumerate(REPEATS[self.layers], start=1):
            for number in range(1, max(1, round(repeats * self.depth)) + 1):
                filters = self._filters(32 * 2**stage)
                x = self._block(x, filters, 2 if number == 1 else 1, f"stage{stage}_block{number}")
        return x

    def _filters(self, filters: int) -> int:
        return max(1, int(filters * self.width))

    def _block(self, x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
        y = self.norm(x, f"{name}_bn")
        y = self.conv_unit(y, filters, 3, f"{name}_1")
        y = self.conv_norm(y, filters, 3, f"{name}_2", stride=stride)
        if self.squeeze_excite_ratio:
            reduced = max(1, int(filters * self.squeeze_excite_ratio))
            y = self.squeeze_excite(y, reduced, name, self.activation)
        if stride == 2 or x.shape[-1] != filters:
            x = self.conv_norm(x, filters, 1, f"{name}_short", stride=stride)
        return tf.keras.layers.Add(name=f"{name}_add")([x, y])

    def quick(self) -> Self:
        return self.but(image_size=32, layers=18, width=0.125, depth=0.5)
