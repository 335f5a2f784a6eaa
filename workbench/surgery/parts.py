"""Surgery in a spec: a backbone, built and then changed step by step."""

from __future__ import annotations

import abc
from typing import Any, Literal, Union

from typing_extensions import Self

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.interfaces import Backbone
from workbench.spec.part import Part, part, setting
from workbench.surgery.activations import prelu_to_depthwise, relu_to_prelu
from workbench.surgery.freezing import freeze
from workbench.surgery.regularizers import set_norms
from workbench.surgery.upsampling import upsampling_to_transpose


@part
class Operation(Part):
    """One step of surgery on a built Keras model."""

    @abc.abstractmethod
    def apply(self, model: tf.keras.Model) -> tf.keras.Model:
        """Return the model after the step; raises `SpecError` where there is nothing to do."""


@part
class ReLUToPReLU(Operation):
    """PReLU in the place of every ReLU layer; with start 0 the outputs are equal at first."""

    start: float = setting(0.0, at_least=0, below=1, doc="slope below zero at the start")
    capped: bool = setting(False, doc="replace ReLU6 too, whose cap is then lost")

    def apply(self, model: tf.keras.Model) -> tf.keras.Model:
        return relu_to_prelu(model, self.start, self.capped)


@part
class PReLUToDepthwise(Operation):
    """relu(x) + depthwise(relu(-x)) in the place of every PReLU; outputs are equal."""

    def apply(self, model: tf.keras.Model) -> tf.keras.Model:
        return prelu_to_depthwise(model)


@part
class UpSamplingToTranspose(Operation):
    """A fixed Conv2DTranspose in the place of every UpSampling2D."""

    border: Literal["plain", "exact"] = setting("plain", doc="of bilinear up-sampling: see the documentation")

    def apply(self, model: tf.keras.Model) -> tf.keras.Model:
        return upsampling_to_transpose(model, self.border)


@part
class SetNorms(Operation):
    """Another momentum or epsilon in every batch normalisation."""

    momentum: Union[float, None] = setting(None, at_least=0, below=1, doc="of the moving statistics")
    epsilon: Union[float, None] = setting(None, above=0, doc="added to the variance")

    def apply(self, model: tf.keras.Model) -> tf.keras.Model:
        return set_norms(model, self.momentum, self.epsilon)


@part
class Freeze(Operation):
    """Layers that are never trained, by patterns of their names."""

    layers: tuple[str, ...] = setting(positional=True, doc="patterns such as 'stage1_*'")

    def apply(self, model: tf.keras.Model) -> tf.keras.Model:
        freeze(model, *self.layers)
        return model


@part
class Changed(Backbone):
    """A backbone after surgery: `Changed(backbone=MobileNet(), by=(ReLUToPReLU(),))`."""

    backbone: Backbone = setting(doc="the network that is changed; its image_size is the one that counts")
    by: tuple[Operation, ...] = setting(doc="the steps, in order")

    def check(self) -> None:
        object.__setattr__(self, "image_size", self.backbone.image_size)

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        images = tf.keras.Input(inputs.shape[1:])
        model: Any = tf.keras.Model(images, self.backbone.build(images), name="backbone")
        for number, step in enumerate(self.by, start=1):
            try:
                model = step.apply(model)
            except SpecError as error:
                where = f"Changed.by, step {number} ({type(step).__name__})"
                raise SpecError(error.what, where=where, expected=error.expected, do=error.do) from error
        return model(inputs)

    def quick(self) -> Self:
        return self.but(backbone=self.backbone.quick())
