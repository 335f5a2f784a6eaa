"""Small networks for sweeps and distillation: minutes on a CPU, a few settings each."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Self

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.models.backbones.layers import Activation, activate
from workbench.pixels import MIDDLE, SCALE
from workbench.spec.interfaces import Backbone
from workbench.spec.part import part, setting


@part
class SmallNet(Backbone):
    """What small networks take: pixels of -1 to 1 as all others, or as Keras's examples do, in one channel where asked."""

    pixels: Literal["centred", "unit"] = setting(
        "centred",
        later=True,
        doc="pixels as the network sees them: about -1 to 1, or 0 to 1 as Keras's examples have them",
    )
    grey: bool = setting(False, later=True, doc="one channel, the mean of three, for images without colour")

    def taken(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return `inputs` [B, h, w, 3] of about -1 to 1 in the form that the settings say."""
        x = inputs
        if self.grey:
            x = tf.reduce_mean(x, axis=-1, keepdims=True)
        if self.pixels == "unit":  # (p - 127.5) / 128 turned into p / 255
            x = tf.keras.layers.Rescaling(1 / (255 * SCALE), MIDDLE / 255, name="unit")(x)
        return x


@part
class PlainCNN(SmallNet):
    """Three 3 x 3 convolutions with pooling between, a dense layer and dropout; gives [B, dense].

    The network of TensorFlow's tutorial "Convolutional neural network (CNN)", with a dropout that it does not have.
    At 32 pixels, the defaults: 121,920 parameters (896 + 18,496 + 36,928 + 65,600 by hand).
    """

    image_size: int = setting(32, at_least=18, at_most=1024, doc="side of the square input, pixels")
    filters: tuple[int, ...] = setting((32, 64, 64), at_least=1, doc="filters of the convolutions")
    dense: int = setting(64, at_least=1, doc="units of the dense layer")
    dropout: float = setting(0.5, at_least=0, below=1, doc="share dropped after the dense layer")
    activation: Activation = setting("relu", doc="activation of every layer")

    def check(self) -> None:
        size = self.image_size
        for number in range(len(self.filters)):
            size = size - 2 if number == len(self.filters) - 1 else (size - 2) // 2
        if size < 1:
            raise SpecError(
                f"{len(self.filters)} convolutions leave nothing of {self.image_size} pixels",
                where="PlainCNN.image_size",
                expected="a larger input or fewer filters",
            )

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        layers, x = tf.keras.layers, self.taken(inputs)
        for number, filters in enumerate(self.filters, start=1):
            x = layers.Conv2D(filters, 3, name=f"conv{number}")(x)
            x = activate(x, self.activation, f"conv{number}")
            if number < len(self.filters):
                x = layers.MaxPooling2D(name=f"pool{number}")(x)
        x = layers.Dense(self.dense, name="dense")(layers.Flatten(name="flatten")(x))
        x = activate(x, self.activation, "dense")
        return layers.Dropout(self.dropout, name="dropout")(x) if self.dropout else x

    def quick(self) -> Self:
        return self.but(image_size=32, filters=(8, 8, 8))


@part
class MLP(SmallNet):
    """Fully connected layers on the flat image, two by default, dropout after each; gives [B, units].

    At 28 pixels in three channels, the defaults: 317,696 parameters (2353 * 128 + 129 * 128, by hand).
    """

    image_size: int = setting(28, at_least=1, at_most=1024, doc="side of the square input, pixels")
    units: tuple[int, ...] = setting((128, 128), at_least=1, doc="units of the layers")
    dropout: float = setting(0.0, at_least=0, below=1, doc="share dropped after each layer")
    activation: Activation = setting("relu", doc="activation of every layer")

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        layers = tf.keras.layers
        x = layers.Flatten(name="flatten")(self.taken(inputs))
        for number, units in enumerate(self.units, start=1):
            x = layers.Dense(units, name=f"dense{number}")(x)
            x = activate(x, self.activation, f"dense{number}")
            x = layers.Dropout(self.dropout, name=f"dropout{number}")(x) if self.dropout else x
        return x


@part
class LeakyCNN(SmallNet):
    """Two strided 3 x 3 convolutions with LeakyReLU, a pooling of stride 1 between: for distillation.

    Teacher (256, 512) and student (16, 32) of Keras's example "Knowledge distillation": 1,187,328 and 5,088
    parameters by hand. 28 pixels give maps of 7 x 7.
    """

    image_size: int = setting(28, at_least=4, at_most=1024, doc="side of the square input, pixels")
    filters: tuple[int, int] = setting((256, 512), at_least=1, doc="filters of the two convolutions")
    slope: float = setting(0.2, at_least=0, below=1, doc="of LeakyReLU below zero")

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        layers = tf.keras.layers
        x = layers.Conv2D(self.filters[0], 3, 2, "same", name="conv1")(self.taken(inputs))
        x = layers.LeakyReLU(self.slope, name="conv1_leaky_relu")(x)
        x = layers.MaxPooling2D(2, 1, "same", name="pool1")(x)
        return layers.Conv2D(self.filters[1], 3, 2, "same", name="conv2")(x)

    def quick(self) -> Self:
        return self.but(filters=(8, 8))
