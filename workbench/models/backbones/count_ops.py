"""How large a network is: parameters, multiply-adds, activation memory, output."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.lazy import tf
from workbench.spec.interfaces import Backbone


@dataclass(frozen=True)
class Sizes:
    """What `workbench models` prints of a network at one input size.

    `parameters` counts moving statistics too; `multiply_adds` and `activations` (numbers that the layers
    put out) are those of one image; `output` is the shape without the batch.
    """

    parameters: int
    trainable: int
    multiply_adds: int
    activations: int
    output: tuple[int, ...]

    def activation_bytes(self, batch: int, width: int = 4) -> int:
        """Return the memory of all layers' outputs for `batch` images, `width` bytes a number.

        Training keeps about this much between forward and backward pass, besides the weights.
        """
        return self.activations * batch * width


def network(backbone: Backbone) -> tf.keras.Model:
    """Return the Keras model of a backbone alone."""
    inputs = tf.keras.Input((backbone.image_size, backbone.image_size, 3), name="images")
    return tf.keras.Model(inputs, backbone.build(inputs), name=type(backbone).__name__.lower())


def sizes(model: tf.keras.Model) -> Sizes:
    """Return the sizes of a built functional model of fixed input size."""
    layers = list(_layers(model))
    return Sizes(
        parameters=int(model.count_params()),
        trainable=sum(math.prod(variable.shape) for variable in model.trainable_variables),
        multiply_adds=sum(multiply_adds(layer) for layer in layers),
        activations=sum(_numbers(layer.output_shape) for layer in layers),
        output=tuple(model.output_shape[1:]),
    )


def _layers(model: tf.keras.Model) -> Iterator[tf.keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            yield from _layers(layer)
        elif not isinstance(layer, tf.keras.layers.InputLayer):
            yield layer


def _numbers(shape: Any) -> int:
    if isinstance(shape, list):
        return sum(_numbers(one) for one in shape)
    return math.prod(size for size in shape[1:] if size)


def multiply_adds(layer: tf.keras.layers.Layer) -> int:
    """Return the multiplications (each with its addition) of a layer for one image.

    Convolutions, dense layers and attention count; normalisation and activations are left out, as in the
    papers' tables.
    """
    layers = tf.keras.layers
    if isinstance(layer, layers.SeparableConv2D):
        positions = math.prod(layer.output_shape[1:3])
        return positions * (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape))
    if isinstance(layer, layers.DepthwiseConv2D):
        return math.prod(layer.output_shape[1:3]) * math.prod(layer.depthwise_kernel.shape)
    if isinstance(layer, layers.Conv2DTranspose):
        return math.prod(layer.input_shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Conv2D):
        return math.prod(layer.output_shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Dense):
        return math.prod(layer.output_shape[1:-1]) * math.prod(layer.kernel.shape)
    counted = getattr(layer, "multiply_adds", None)  # a layer of ours that counts its own
    return counted() if counted is not None else 0
