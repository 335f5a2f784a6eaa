"""VarGFaceNet (Yan et al. 2019): separable convolutions whose groups have a fixed number of channels."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from workbench.lazy import tf
from workbench.models.backbones.layers import Activation, Form, Network
from workbench.spec.part import part, setting

STAGES = ((80, 3), (160, 7), (320, 4))  # filters and blocks, the first of them with a stride (table 1)
INSIGHTFACE_STAGES = ((64, 3), (128, 7), (256, 4))  # of Keras_insightface


@part
class VarGFaceNet(Network):
    """VarGFaceNet (Yan et al. 2019, table 1): groups of 8 channels, squeeze-excite, PReLU.

    With `F(size=512, bias=True)` 5,198,292 trained parameters, those of the authors' `VarGFaceNet.py` counted
    layer by layer (the paper says 5 million), and 1024 million operations, multiplications and additions
    (the paper: 1022). The backbone ends in the paper's variable group embedding: 1024 maps, a group
    convolution over the whole map and 512 of 1 x 1; without it (`group_embedding=False`) 112 pixels give
    maps of 7 x 7 x 1024. `form="keras_insightface"` is the network of that project: 32 filters in the stem and
    64, 128 and 256 in the stages, as many zeros on each side of a map, and at the end the group convolution
    alone, 1024 maps. With its `activation="relu"` and `squeeze_excite_ratio=0` and with `GDC(size=512)`
    3,554,016 parameters instead of 5,242,084.
    """

    activation: Activation = setting("prelu", doc="activation after normalised convolutions")
    group: int = setting(8, at_least=1, doc="channels of a group")
    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")
    depth: float = setting(1.0, above=0, at_most=2, doc="multiplier on the repeats of blocks")
    expansion: int = setting(2, at_least=1, doc="channels of a group convolution per channel into it")
    squeeze_excite_ratio: float = setting(
        0.25, at_least=0, at_most=1, doc="channels inside per channel; 0 is off"
    )
    group_embedding: bool = setting(True, doc="end in a group convolution over the whole map")
    head_stride: Literal[1, 2] = setting(2, doc="stride of the block after the stem; 1 for small images")
    form: Form = setting("paper", later=True, doc="the paper's network, or that of Keras_insightface")

    def stride(self) -> int:
        return 8 * self.head_stride

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        stem, stages = (40, STAGES) if self.form == "paper" else (32, INSIGHTFACE_STAGES)
        x = self.conv_unit(inputs, self._filters(stem), 3, "stem")
        x = self._block(x, self._filters(stem), self.head_stride, "head", branches=1, expansion=1)
        for stage, (filters, repeats) in enumerate(stages, start=2):
            x = self._block(x, self._filters(filters), 2, f"stage{stage}_block1", branches=2)
            for number in range(2, max(2, round(repeats * self.depth)) + 1):
                x = self._block(x, self._filters(filters), 1, f"stage{stage}_block{number}", branches=1)
        x = self.conv_unit(x, self._filters(1024), 1, "last")
        return self._embed(x) if self.group_embedding else x

    def padded(self, x: tf.Tensor, kernel: int, padding: str, name: str) -> tuple[tf.Tensor, str]:
        """Put as many zeros on each side of a map, in Keras_insightface's form.

        TensorFlow's "same" puts the only row of zeros that a stride of 2 needs below and to the right.
        """
        if self.form == "paper" or kernel == 1 or padding != "same":
            return x, padding
        return tf.keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"

    def _filters(self, filters: int) -> int:
        return max(self.group, int(filters * self.width) // self.group * self.group)

    def _separable(
        self, x: tf.Tensor, filters: int, stride: int, name: str, active: bool, expansion: int
    ) -> tf.Tensor:
        """Return a group convolution of `expansion` times the channels and a 1 x 1 one back to `filters`."""
        channels = x.shape[-1]
        x = self.conv_unit(
            x, channels * expansion, 3, f"{name}_group", stride=stride, groups=channels // self.group
        )
        x = self.conv_norm(x, filters, 1, f"{name}_point")
        return self.act(x, f"{name}_point") if active else x

    def _block(
        self,
        x: tf.Tensor,
        filters: int,
        stride: int,
        name: str,
        branches: int,
        expansion: int | None = None,
    ) -> tf.Tensor:
        """Return a normal block, or with a stride a down-sampling one of one or two summed branches."""
        add, wide = tf.keras.layers.Add, expansion or self.expansion
        paths = [
            self._separable(x, filters, stride, f"{name}_{n}", active=branches == 1, expansion=wide)
            for n in range(1, branches + 1)
        ]
        y = paths[0] if branches == 1 else self.act(add(name=f"{name}_merge")(paths), f"{name}_merge")
        y = self._separable(y, filters, 1, f"{name}_out", active=False, expansion=wide)
        if self.squeeze_excite_ratio and branches == 1:
            y = self.squeeze_excite(
                y, max(1, int(filters * self.squeeze_excite_ratio)), name, self.activation
            )
        if stride == 2 or x.shape[-1] != filters:
            x = self._separable(x, filters, stride, f"{name}_short", active=False, expansion=wide)
        return self.act(add(name=f"{name}_add")([x, y]), name)

    def _embed(self, x: tf.Tensor) -> tf.Tensor:
        """Return [B, 1, 1, c / 2]: every group of channels looks at the whole map."""
        size, channels = x.shape[1], x.shape[-1]
        x = self.conv_norm(x, channels, size, "embed_group", groups=channels // self.group, padding="valid")
        if self.form != "paper":
            return x
        return self.conv_unit(x, channels // 2, 1, "embed_point")

    def quick(self) -> Self:
        return self.but(image_size=32, width=0.25, depth=0.3, head_stride=1)
