"""MobileFaceNet (Chen et al. 2018): MobileNetV2's blocks, narrow and early at full depth, for faces."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from workbench.lazy import tf
from workbench.models.backbones.layers import Activation, Form, Network, divisible
from workbench.spec.part import part, setting

# expansion, filters, repeats, first stride (the paper's table 1)
BLOCKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


@part
class MobileFaceNet(Network):
    """MobileFaceNet (Chen et al. 2018, table 1), optionally with squeeze-excite in every bottleneck.

    With `GDC(size=128)` 976,000 weights and 19,584 numbers of batch normalisation, the 0.99 million of the
    paper's table 2, and 7,552 slopes of PReLU; 112 pixels give maps of 7 x 7 x 512. Squeeze-excite comes
    after the linear end of a bottleneck, with PReLU inside; the field's ratio is 1 / 16 (`se_mobilefacenet`
    of Keras_insightface), which adds 24,840 parameters. `form="keras_insightface"` is the network of those
    trainings: a pointwise convolution after the stem's depthwise one, no shortcut around the first block of a
    stage, and no 512-wide convolution at the end, so that the maps are 7 x 7 x 128; with `GDC(size=512)`
    939,904 parameters instead of 1,220,864.
    """

    activation: Activation = setting("prelu", doc="activation after normalised convolutions")
    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")
    depth: float = setting(1.0, above=0, at_most=4, doc="multiplier on the repeats of bottlenecks")
    squeeze_excite_ratio: float = setting(
        0.0, at_least=0, at_most=1, doc="channels inside squeeze-excite per channel; 0 is off"
    )
    stem_stride: Literal[1, 2] = setting(2, doc="stride of the first convolution; 1 for small images")
    form: Form = setting("paper", later=True, doc="the paper's network, or that of Keras_insightface")

    def stride(self) -> int:
        return 8 * self.stem_stride

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self.conv_unit(inputs, self._filters(64), 3, "stem", stride=self.stem_stride)
        x = self.depthwise_unit(x, 3, "stem") if self.form == "paper" else self._separable(x, "stem")
        for stage, (expansion, filters, repeats, first_stride) in enumerate(BLOCKS, start=1):
            for number in range(1, max(1, round(repeats * self.depth)) + 1):
                stride = first_stride if number == 1 else 1
                name, shortcut = f"stage{stage}_block{number}", self.form == "paper" or number > 1
                x = self._bottleneck(x, expansion, self._filters(filters), stride, name, shortcut)
        return self.conv_unit(x, self._filters(512), 1, "last") if self.form == "paper" else x

    def _filters(self, filters: int) -> int:
        return divisible(filters * self.width)

    def _bottleneck(
        self, x: tf.Tensor, expansion: int, filters: int, stride: int, name: str, shortcut: bool
    ) -> tf.Tensor:
        y = self.conv_unit(x, expansion * x.shape[-1], 1, f"{name}_expand")
        y = self.depthwise_unit(y, 3, name, stride=stride)
        y = self.conv_norm(y, filters, 1, f"{name}_project")
        if self.squeeze_excite_ratio:
            y = self.squeeze_excite(
                y, max(1, int(filters * self.squeeze_excite_ratio)), name, self.activation
            )
        if shortcut and stride == 1 and x.shape[-1] == filters:
            y = tf.keras.layers.Add(name=f"{name}_add")([x, y])
        return y

    def _separable(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Return a depthwise and a pointwise convolution with one normalisation after both."""
        x = self.conv(self.depthwise(x, 3, f"{name}_dw"), x.shape[-1], 1, f"{name}_point")
        return self.act(self.norm(x, f"{name}_dw_bn"), f"{name}_dw")

    def quick(self) -> Self:
        return self.but(image_size=32, width=0.25, depth=0.34, stem_stride=1)
