"""GhostNet (Han et al. 2020): half of each layer's maps come from cheap depthwise convolutions."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from workbench.lazy import tf
from workbench.models.backbones.layers import Activation, Form, Network, divisible
from workbench.spec.part import part, setting

# kernel, expanded filters, filters, squeeze-excite ratio, stride (the paper's table 7)
BLOCKS = (
    (3, 16, 16, 0, 1),
    (3, 48, 24, 0, 2),
    (3, 72, 24, 0, 1),
    (5, 72, 40, 0.25, 2),
    (5, 120, 40, 0.25, 1),
    (3, 240, 80, 0, 2),
    (3, 200, 80, 0, 1),
    (3, 184, 80, 0, 1),
    (3, 184, 80, 0, 1),
    (3, 480, 112, 0.25, 1),
    (3, 672, 112, 0.25, 1),
    (5, 672, 160, 0.25, 2),
    (5, 960, 160, 0, 1),
    (5, 960, 160, 0.25, 1),
    (5, 960, 160, 0, 1),
    (5, 960, 160, 0.25, 1),
)
INSIGHTFACE_BLOCKS = (*BLOCKS[:-1], (5, 512, 160, 0.25, 1))  # of Keras_insightface, all else alike


@part
class GhostNet(Network):
    """GhostNet (Han et al. 2020, table 7), without its 1280-wide top.

    With that top (1280 and 1000 units, both with biases) 2,587,292, 5,182,508 and 7,358,820 trained
    parameters at widths 0.5, 1 and 1.3: the 2.6, 5.2 and 7.3 million of the paper, timm's 5.18 (`ghostnet_100`)
    and keras_cv_attention_models' 2.59, 5.18 and 7.36. pytorchcv's `ghostnet` has 5,180,840: its shortcuts
    are 3 x 3 everywhere (-2,176), its squeeze-excite is not rounded to fours (-772), its top normalised
    (+1,280). `form="keras_insightface"` is the network of those trainings: 512 instead of 960 filters in the last
    bottleneck and the convolution after it, and Keras's hard sigmoid in squeeze-excite; with width 1.3 and
    `GDC(size=512)` 4,056,312 parameters instead of 5,173,620. 112 pixels give maps of 4 x 4 x 960.
    """

    width: float = setting(
        1.0, above=0, doc="multiplier on all numbers of filters; the paper has 0.5, 1, 1.3"
    )
    depth: int = setting(
        len(BLOCKS), at_least=3, at_most=len(BLOCKS), doc="bottlenecks, counted from the input"
    )
    stem_stride: Literal[1, 2] = setting(2, doc="stride of the first convolution; 1 for small images")
    squeeze_excite_activation: Activation = setting("relu", doc="activation inside squeeze-excite")
    form: Form = setting("paper", later=True, doc="the paper's network, or that of Keras_insightface")

    def stride(self) -> int:
        strides = [block[4] for block in BLOCKS[: self.depth]]
        return self.stem_stride * 2 ** sum(stride == 2 for stride in strides)

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self.conv_unit(inputs, self._filters(16), 3, "stem", stride=self.stem_stride)
        blocks = (BLOCKS if self.form == "paper" else INSIGHTFACE_BLOCKS)[: self.depth]
        for number, (kernel, middle, filters, ratio, stride) in enumerate(blocks, start=1):
            sizes = (self._filters(middle), self._filters(filters))
            x = self._bottleneck(x, kernel, sizes, ratio, stride, f"block{number}")
        return self.conv_unit(x, self._filters(blocks[-1][1]), 1, "last")

    def _filters(self, filters: float) -> int:
        return divisible(filters * self.width, 4)

    def _bottleneck(
        self, x: tf.Tensor, kernel: int, sizes: tuple[int, int], ratio: float, stride: int, name: str
    ) -> tf.Tensor:
        middle, filters = sizes
        y = self._ghost(x, middle, f"{name}_ghost1", active=True)
        if stride == 2:
            y = self.norm(self.depthwise(y, kernel, f"{name}_dw", stride=2), f"{name}_dw_bn")
        if ratio:
            reduced = divisible(middle * ratio, 4)
            gate: Literal["hard_sigmoid", "keras_hard_sigmoid"]
            gate = "hard_sigmoid" if self.form == "paper" else "keras_hard_sigmoid"
            y = self.squeeze_excite(y, reduced, name, self.squeeze_excite_activation, gate)
        y = self._ghost(y, filters, f"{name}_ghost2", active=False)
        if stride == 2 or x.shape[-1] != filters:
            x = self.norm(self.depthwise(x, kernel, f"{name}_short_dw", stride=stride), f"{name}_short_dw_bn")
            x = self.conv_norm(x, filters, 1, f"{name}_short")
        return tf.keras.layers.Add(name=f"{name}_add")([x, y])

    def _ghost(self, x: tf.Tensor, filters: int, name: str, active: bool) -> tf.Tensor:
        """Return ceil(filters / 2) maps by a 1 x 1 convolution and as many made of them, one kernel each."""
        half = (filters + 1) // 2
        x = self.conv_norm(x, half, 1, f"{name}_primary")
        x = self.act(x, f"{name}_primary") if active else x
        y = self.norm(self.depthwise(x, 3, f"{name}_cheap_dw"), f"{name}_cheap_bn")
        y = self.act(y, f"{name}_cheap") if active else y
        both = tf.keras.layers.Concatenate(name=f"{name}_join")([x, y])
        return both if filters == 2 * half else both[..., :filters]

    def quick(self) -> Self:
        return self.but(image_size=32, width=0.25, depth=4, stem_stride=1)
