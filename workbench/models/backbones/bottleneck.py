"""Networks of bottleneck blocks, 1 x 1, something in the middle, 1 x 1, that differ in that middle.

SE-ResNeXt puts a grouped convolution there, ResNeSt a split attention, BoTNet (in its last stage) self
attention.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Literal, Union

from typing_extensions import Self

from workbench.lazy import Lazy, tf
from workbench.models.backbones.keras_scaled import REPEATS
from workbench.models.backbones.layers import Activation, Network
from workbench.spec.part import part, setting

if TYPE_CHECKING:
    from workbench.models.backbones import attention
else:
    attention = Lazy("workbench.models.backbones.attention")

EXPANSION = 4  # channels out of a block per channel of its middle


@part
class Bottlenecks(Network):
    """Four stages of bottleneck blocks after a stem; subclasses give the middle of a block."""

    layers: Literal[50, 101] = setting(50, doc="convolutions and fully connected layers, by name")
    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")
    depth: float = setting(1.0, above=0, at_most=2, doc="multiplier on the repeats of blocks")
    stem_stride: Literal[1, 2, 4] = setting(
        4, doc="4: strided convolution and pooling; 2: no pooling; 1: neither"
    )

    def stride(self) -> int:
        return 8 * self.stem_stride

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self.stem(inputs)
        if self.stem_stride == 4:
            x = tf.keras.layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
        for stage, repeats in enumerate(REPEATS[self.layers], start=1):
            for number in range(1, max(1, round(repeats * self.depth)) + 1):
                stride = 2 if number == 1 and stage > 1 else 1
                x = self._block(x, stage, self.filters(32 * 2**stage), stride, f"stage{stage}_block{number}")
        return x

    def filters(self, filters: float) -> int:
        """Return a number of filters times the width, a multiple of 32 so that groups come out even."""
        return max(32, int(filters * self.width) // 32 * 32)

    def stem(self, x: tf.Tensor) -> tf.Tensor:
        """Return the first convolution's maps."""
        return self.conv_unit(x, self.filters(64), 7, "stem", stride=min(self.stem_stride, 2))

    @abc.abstractmethod
    def middle(self, x: tf.Tensor, stage: int, filters: int, stride: int, name: str) -> tf.Tensor:
        """Return what lies between the two 1 x 1 convolutions, activated."""

    def middle_filters(self, filters: int) -> int:
        """Return the channels of the middle, of those a plain bottleneck would have."""
        return filters

    def finish(self, y: tf.Tensor, name: str) -> tf.Tensor:
        """Return the block's branch before it is added, for instance after squeeze-excite."""
        return y

    def shortcut(self, x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
        """Return the projection that goes around a block whose sizes change."""
        return self.conv_norm(x, filters, 1, f"{name}_short", stride=stride)

    def _block(self, x: tf.Tensor, stage: int, filters: int, stride: int, name: str) -> tf.Tensor:
        middle = self.middle_filters(filters)
        y = self.conv_unit(x, middle, 1, f"{name}_1")
        y = self.middle(y, stage, middle, stride, f"{name}_2")
        y = self.finish(self.conv_norm(y, filters * EXPANSION, 1, f"{name}_3"), name)
        if stride == 2 or x.shape[-1] != filters * EXPANSION:
            x = self.shortcut(x, filters * EXPANSION, stride, name)
        return self.act(tf.keras.layers.Add(name=f"{name}_add")([x, y]), name)

    def quick(self) -> Self:
        return self.but(image_size=32, layers=50, width=0.5, depth=0.34, stem_stride=2)


@part
class SEResNeXt(Bottlenecks):
    """SE-ResNeXt 32x4d (Xie et al. 2017, Hu et al. 2018): 32 groups and squeeze-excite.

    With a 1000-way top 27,559,896 (50 layers) and 48,955,416 trained parameters (101 layers), as those
    that pytorchcv's tests state for its own and for Cadene's `se_resnext50_32x4d` and `se_resnext101_32x4d`
    (timm: 27.56 and 48.96 million). 112 pixels give maps of 4 x 4 x 2048.
    """

    groups: int = setting(32, at_least=1, doc="groups of the middle convolution")
    squeeze_excite_ratio: float = setting(1 / 16, above=0, at_most=1, doc="channels inside per channel")

    def middle_filters(self, filters: int) -> int:
        return max(self.groups, filters * 2)  # 32 groups of 4 channels where a plain block has 64

    def middle(self, x: tf.Tensor, stage: int, filters: int, stride: int, name: str) -> tf.Tensor:
        return self.conv_unit(x, filters, 3, name, stride=stride, groups=self.groups)

    def finish(self, y: tf.Tensor, name: str) -> tf.Tensor:
        return self.squeeze_excite(y, max(1, int(y.shape[-1] * self.squeeze_excite_ratio)), name)


@part
class ResNeSt(Bottlenecks):
    """ResNeSt with radix 2 (Zhang et al. 2020): split attention in blocks, a deep stem, pooled strides.

    With a 1000-way top 27,483,240 (50 layers) and 48,275,016 trained parameters (101 layers), those that
    pytorchcv's tests state for the authors' `resnest50` and `resnest101` (timm: 27.48 and 48.28 million).
    """

    radix: int = setting(2, at_least=1, doc="splits among which attention chooses")
    stem_width: Union[int, None] = setting(
        None, at_least=8, doc="filters of the stem; None: 32 or 64 by layers"
    )

    def stem(self, x: tf.Tensor) -> tf.Tensor:
        width = self.stem_width or (32 if self.layers == 50 else 64)
        x = self.conv_unit(x, width, 3, "stem_1", stride=min(self.stem_stride, 2))
        return self.conv_unit(self.conv_unit(x, width, 3, "stem_2"), 2 * width, 3, "stem_3")

    def middle(self, x: tf.Tensor, stage: int, filters: int, stride: int, name: str) -> tf.Tensor:
        layers = tf.keras.layers
        x = self.conv_unit(x, filters * self.radix, 3, name, groups=self.radix)
        splits = layers.Reshape((*x.shape[1:3], self.radix, filters), name=f"{name}_splits")(x)
        mean = tf.reduce_mean(tf.reduce_sum(splits, axis=3), axis=[1, 2], keepdims=True)
        inner = max(32, filters * self.radix // 4)
        gate = layers.Conv2D(inner, 1, name=f"{name}_attention_1")(mean)
        gate = self.act(self.norm(gate, f"{name}_attention_bn"), f"{name}_attention")
        gate = layers.Conv2D(filters * self.radix, 1, name=f"{name}_attention_2")(gate)
        x = attention.SplitSoftmax(self.radix, name=f"{name}_attend")([splits, gate])
        if stride == 2:
            x = layers.AveragePooling2D(3, 2, "same", name=f"{name}_pool")(x)
        return x

    def shortcut(self, x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
        if stride == 2:
            x = tf.keras.layers.AveragePooling2D(2, 2, "same", name=f"{name}_short_pool")(x)
        return self.conv_norm(x, filters, 1, f"{name}_short")


@part
class BoTNet(Bottlenecks):
    """BoTNet-50 (Srinivas et al. 2021): ResNet-50 whose last stage attends instead of convolving.

    Multi-head self-attention with relative position along both axes; a stride of the last stage is a
    2 x 2 mean after it. The input size is fixed once built. Trained parameters with a 1000-way top:
    ResNet-50's 25,557,032, less three 3 x 3 convolutions (7,077,888), with three of queries, keys and values
    (2,359,296), makes 20,838,440, the paper's 20.8 million (table 1); positions along h and w add
    (2 h + 2 w - 2) * 128 a block: 20,852,008 at 224 pixels (PaddleViT's botnet50: 20.9 million).
    """

    heads: int = setting(4, at_least=1, doc="heads of self-attention")
    last_stride: Literal[1, 2] = setting(2, doc="stride of the attending stage (the paper tries both)")
    shortcut_activation: Union[Activation, None] = setting(None, doc="activation after projected shortcuts")

    def stride(self) -> int:
        return 4 * self.stem_stride * self.last_stride

    def _block(self, x: tf.Tensor, stage: int, filters: int, stride: int, name: str) -> tf.Tensor:
        stride = min(stride, self.last_stride) if stage == 4 else stride
        return Bottlenecks._block(self, x, stage, filters, stride, name)

    def middle(self, x: tf.Tensor, stage: int, filters: int, stride: int, name: str) -> tf.Tensor:
        if stage < 4:
            return self.conv_unit(x, filters, 3, name, stride=stride)
        qkv = self.conv(x, 3 * filters, 1, f"{name}_qkv", bias=False)
        x = attention.PositionedAttention(self.heads, name=f"{name}_attention")(qkv)
        if stride == 2:
            x = tf.keras.layers.AveragePooling2D(2, 2, "same", name=f"{name}_pool")(x)
        return self.act(self.norm(x, f"{name}_bn"), name)

    def shortcut(self, x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
        x = Bottlenecks.shortcut(self, x, filters, stride, name)
        return self.act(x, f"{name}_short", self.shortcut_activation) if self.shortcut_activation else x
