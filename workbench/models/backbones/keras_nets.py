"""The networks of keras.applications, with the workbench's settings laid over them.

Keras builds the network (so parameters and weight files are Keras's own) and a copy of it is made layer
by layer in which the settings that are given replace Keras's; None keeps what Keras has.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Literal, Union

from typing_extensions import Self

from workbench.errors import DataError, SpecError, suggestion
from workbench.lazy import tf
from workbench.models.backbones import keras_scaled
from workbench.models.backbones.keras_rebuild import Changes
from workbench.models.backbones.layers import Activation
from workbench.spec.interfaces import Backbone
from workbench.spec.part import part, setting
from workbench.surgery.rewrite import rebuilt

# The families of keras.applications, in 2.15 and tf_keras 2.21 the same, and what each has; the first is the smallest.
FAMILIES = {
    "ConvNeXt": "Tiny Small Base Large XLarge",
    "DenseNet": "121 169 201",
    "EfficientNet": "B0 B1 B2 B3 B4 B5 B6 B7",
    "EfficientNetV2": "B0 B1 B2 B3 S M L",
    "Inception": "V3 ResNetV2",
    "MobileNetV3": "Small Large",
    "NASNet": "Mobile Large",
    "RegNetX": "002 004 006 008 016 032 040 064 080 120 160 320",
    "RegNetY": "002 004 006 008 016 032 040 064 080 120 160 320",
    "ResNet": "50 101 152",
    "ResNet{}V2": "50 101 152",
    "ResNetRS": "50 101 152 200 270 350 420",
    "VGG": "16 19",
    "MobileNet": "",
    "MobileNetV2": "",
    "Xception": "",
}


def _members(family: str) -> list[str]:
    """Return the names of the networks of a family, the smallest first."""
    place = family if "{}" in family else f"{family}{{}}"
    return [place.format(one) for one in FAMILIES[family].split() or [""]]


# Each network, with the smallest of its family: for `--quick`.
SMALLEST = {name: _members(family)[0] for family in FAMILIES for name in _members(family)}
# The smallest input side that each is built for here: Keras's own.
APPLICATIONS = dict.fromkeys(sorted(SMALLEST), 32) | {
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "Xception": 71,
}


@part
class KerasNet(Backbone):
    """Base of the networks that Keras builds: which one, and what the copy changes."""

    activation: Union[Activation, None] = setting(
        None, doc="instead of every ReLU and swish; None: as in Keras"
    )
    prelu_start: float = setting(0.25, at_least=0, below=1, doc="PReLU's slope at the start")
    norm_momentum: Union[float, None] = setting(None, at_least=0, below=1, doc="of batch normalisation")
    norm_epsilon: Union[float, None] = setting(None, above=0, doc="of batch normalisation")
    conv_bias: Union[bool, None] = setting(None, doc="convolutions have a bias of their own")
    stem_stride: Union[Literal[1, 2], None] = setting(
        None, doc="stride of the first convolution; 1: small images"
    )
    weights: Union[str, None] = setting(None, doc="'imagenet', or a file of weights that Keras reads")

    @abc.abstractmethod
    def source(self) -> tuple[str, dict[str, Any]]:
        """Return the name in keras.applications and what else its function is given."""

    def check(self) -> None:
        name = self.source()[0]
        # A stem of stride 1 halves what the strides need; where it is not 32, convolutions without padding set the bound.
        least = APPLICATIONS[name] // (2 if self.stem_stride == 1 and APPLICATIONS[name] == 32 else 1)
        if self.image_size < least:
            raise SpecError(
                f"an input of {self.image_size} pixels is too small for the strides of {name}",
                where=f"{type(self).__name__}.image_size",
                expected=f"at least {least}",
            )

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        tf.keras.backend.reset_uids()  # names that Keras makes by counting are the same every time
        model = self.original(tuple(inputs.shape[1:]))
        return rebuilt(model, inputs, Changes(self, model))

    def original(self, shape: tuple[int, ...]) -> tf.keras.Model:
        """Return the network as Keras builds it for images of `shape`."""
        name, options = self.source()
        make = getattr(tf.keras.applications, name)
        try:
            return make(include_top=False, weights=self.weights, input_shape=shape, **options)
        except (ValueError, OSError) as error:
            raise DataError(
                f"Keras refuses {name}: {error}",
                where=type(self).__name__,
                do="look at weights and image_size",
            ) from error

    def quick(self) -> Self:
        return self.but(image_size=max(32, APPLICATIONS[self.source()[0]]), weights=None)


@part
class KerasApplication(KerasNet):
    """Any network of keras.applications by its name there; its parameters are Keras's own.

    A network that scales its input itself gets (x - 127.5) / 128 undone first.
    """

    network: str = setting(positional=True, doc="name in keras.applications, such as DenseNet121")

    def check(self) -> None:
        if self.network not in APPLICATIONS:
            raise SpecError(
                f"no network {self.network!r} in keras.applications",
                where="KerasApplication.network",
                do=suggestion(self.network, APPLICATIONS),
            )
        KerasNet.check(self)

    def source(self) -> tuple[str, dict[str, Any]]:
        no_scaling = self.network.startswith("ConvNeXt")  # its scaling takes 0..255
        return self.network, {"include_preprocessing": False} if no_scaling else {}

    def quick(self) -> Self:
        small = SMALLEST[self.network]
        return self.but(network=small, image_size=APPLICATIONS[small], weights=None)


@part
class MobileNetV2(KerasNet):
    """MobileNetV2 (Sandler et al. 2018): inverted residual blocks with linear ends.

    2,257,984 parameters without a top at width 1 (Keras; with it 3.5 million, the paper's 3.4). 112 pixels
    give maps of 4 x 4 x 1280.
    """

    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")

    def source(self) -> tuple[str, dict[str, Any]]:
        return "MobileNetV2", {"alpha": self.width}

    def quick(self) -> Self:
        return self.but(image_size=32, width=0.35, stem_stride=1, weights=None)


@part
class MobileNetV3(KerasNet):
    """MobileNetV3, large or small (Howard et al. 2019): searched blocks with squeeze-excite and hard swish.

    2,996,352 (large) and 939,120 (small) parameters without a top (Keras; with it 5.5 and 2.6 million, the
    paper's 5.4 and 2.5). 112 pixels give maps of 4 x 4 x 960 or 576.
    """

    variant: Literal["large", "small"] = setting("large", doc="which of the paper's two networks")
    width: float = setting(1.0, above=0, doc="multiplier on all numbers of filters")
    minimalistic: bool = setting(False, doc="without squeeze-excite, hard swish and 5 x 5 convolutions")

    def source(self) -> tuple[str, dict[str, Any]]:
        options = {"alpha": self.width, "minimalistic": self.minimalistic, "include_preprocessing": False}
        return "MobileNetV3" + self.variant.title(), options

    def quick(self) -> Self:
        return self.but(image_size=32, variant="small", width=0.25, stem_stride=1, weights=None)


@part
class ScaledKerasNet(KerasNet):
    """Base of the families that are built here at any width and depth, by Keras's own functions."""

    smallest: ClassVar[dict[str, Any]] = {"variant": "B0"}  # the settings of the family's smallest network

    width: float = setting(1.0, above=0, later=True, doc="multiplier on the filters of all blocks")
    depth: float = setting(1.0, above=0, at_most=2, later=True, doc="multiplier on the repeats of blocks")

    def check(self) -> None:
        KerasNet.check(self)
        if self._is_scaled() and self.weights == "imagenet":
            raise SpecError(
                "Keras has weights='imagenet' for width and depth 1 alone",
                where=f"{type(self).__name__}.weights",
                do="leave out weights, or width and depth",
            )

    def _is_scaled(self) -> bool:
        return (self.width, self.depth) != (1.0, 1.0)

    def original(self, shape: tuple[int, ...]) -> tf.keras.Model:
        return self.scaled(shape) if self._is_scaled() else KerasNet.original(self, shape)

    @abc.abstractmethod
    def scaled(self, shape: tuple[int, ...]) -> tf.keras.Model:
        """Return the network at its width and depth."""

    def quick(self) -> Self:
        shallow = {"image_size": 32, "width": 0.125, "depth": 0.34, "stem_stride": 1, "weights": None}
        return self.but(**shallow, **self.smallest)


@part
class ResNet(ScaledKerasNet):
    """ResNet 50, 101 and 152 (He et al. 2016), as Keras builds it.

    23,587,712, 42,658,176 and 58,370,944 parameters without a top (Keras). 112 pixels give 4 x 4 x 2048.
    """

    smallest: ClassVar[dict[str, Any]] = {"layers": 50}

    layers: Literal[50, 101, 152] = setting(50, doc="convolutions and fully connected layers, by name")

    def source(self) -> tuple[str, dict[str, Any]]:
        return f"ResNet{self.layers}", {}

    def scaled(self, shape: tuple[int, ...]) -> tf.keras.Model:
        return keras_scaled.resnet(self.layers, 1, self.width, self.depth, shape)


@part
class ResNetV2(ScaledKerasNet):
    """ResNetV2 50, 101 and 152 (He et al. 2016, "Identity mappings"): norm and activation first.

    23,564,800, 42,626,560 and 58,331,648 parameters without a top (Keras). 112 pixels give 4 x 4 x 2048.
    """

    smallest: ClassVar[dict[str, Any]] = {"layers": 50}

    layers: Literal[50, 101, 152] = setting(50, doc="convolutions and fully connected layers, by name")
    padding: Literal["explicit", "same"] = setting(
        "explicit", doc="zeros around maps as in Keras, or TensorFlow's same"
    )

    def source(self) -> tuple[str, dict[str, Any]]:
        return f"ResNet{self.layers}V2", {}

    def scaled(self, shape: tuple[int, ...]) -> tf.keras.Model:
        return keras_scaled.resnet(self.layers, 2, self.width, self.depth, shape)


@part
class EfficientNet(ScaledKerasNet):
    """EfficientNet B0 to B7 (Tan and Le 2019): depth, width and resolution scaled together.

    4,049,571 (B0) to 64,097,687 (B7) parameters without a top, the input's normalisation counted (Keras;
    the paper's 5.3 and 66 million have a top). 112 pixels give maps of 4 x 4 x 1280 (B0).
    """

    variant: Literal["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"] = setting("B0", doc="size")

    def source(self) -> tuple[str, dict[str, Any]]:
        return f"EfficientNet{self.variant}", {}

    def scaled(self, shape: tuple[int, ...]) -> tf.keras.Model:
        return keras_scaled.efficientnet(self.variant, 1, self.width, self.depth, shape)


@part
class EfficientNetV2(ScaledKerasNet):
    """EfficientNetV2 B0 to B3, S, M and L (Tan and Le 2021): EfficientNet with fused blocks.

    5,919,312 (B0) to 117,746,848 (L) parameters without a top (Keras). 112 pixels give 4 x 4 x 1280.
    """

    variant: Literal["B0", "B1", "B2", "B3", "S", "M", "L"] = setting("B0", doc="size")

    def source(self) -> tuple[str, dict[str, Any]]:
        return f"EfficientNetV2{self.variant}", {"include_preprocessing": False}

    def scaled(self, shape: tuple[int, ...]) -> tf.keras.Model:
        return keras_scaled.efficientnet(self.variant, 2, self.width, self.depth, shape, **self.source()[1])
