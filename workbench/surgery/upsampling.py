"""UpSampling2D to Conv2DTranspose with fixed weights, for runtimes without resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.surgery.rewrite import rewrite


def upsampling_to_transpose(
    model: tf.keras.Model, border: Literal["plain", "exact"] = "plain"
) -> tf.keras.Model:
    """Return `model` with a fixed Conv2DTranspose for every UpSampling2D.

    Nearest: equal everywhere. Bilinear: equal inside; a plain transposed convolution has nothing beyond
    the border where resizing repeats the edge, so the outer factor // 2 rows and columns come out darker,
    down to (factor + 1) / (2 * factor) of their value at an edge for an even factor (0.75 for 2) and its
    square in a corner.

    Args:
        model: A functional Keras model; it stays as it is.
        border: "plain", or "exact": the edge is repeated first and cropped after, which is equal everywhere.

    Raises:
        SpecError: There is no UpSampling2D, or one of another interpolation.
    """

    def replace(layer: tf.keras.layers.Layer) -> Any:
        if not isinstance(layer, tf.keras.layers.UpSampling2D):
            return None
        if layer.interpolation == "nearest":
            return _transpose(layer, [np.ones(factor) for factor in layer.size])
        if layer.interpolation != "bilinear":
            raise SpecError(
                f"{layer.name} interpolates by {layer.interpolation}",
                expected="nearest or bilinear",
                do="no fixed Conv2DTranspose is offered for it",
            )
        kernels = [triangle(factor) for factor in layer.size]
        return _transpose(layer, kernels) if border == "plain" else _with_edges(layer, kernels)

    return rewrite(model, replace, "no UpSampling2D layer found")


def triangle(factor: int) -> np.ndarray:
    """Return the weights by which one input pixel reaches the output pixels of bilinear resizing.

    Output pixel o lies at (o + 1/2) / factor - 1/2 and takes 1 - |distance| of each input pixel.
    """
    length = 2 * factor - factor % 2
    return 1 - np.abs(np.arange(length) - (length - 1) / 2) / factor


def _transpose(
    layer: tf.keras.layers.UpSampling2D, kernels: list[np.ndarray], name: str | None = None
) -> tf.keras.layers.Conv2DTranspose:
    channels = layer.input_shape[-1]
    new = tf.keras.layers.Conv2DTranspose(
        channels,
        [len(kernel) for kernel in kernels],
        strides=layer.size,
        padding="same",
        use_bias=False,
        trainable=False,
        name=name or layer.name,
    )
    new.build(layer.input_shape)
    new.set_weights([np.outer(*kernels)[:, :, None, None] * np.eye(channels)])
    return new


def _with_edges(layer: tf.keras.layers.UpSampling2D, kernels: list[np.ndarray]) -> Callable[[Any], Any]:
    def parts(x: tf.Tensor) -> tf.Tensor:
        for axis in (1, 2):  # one pixel more on every side: the edge again
            first, last = (x[:, :1], x[:, -1:]) if axis == 1 else (x[:, :, :1], x[:, :, -1:])
            x = tf.keras.layers.Concatenate(axis, name=f"{layer.name}_edge{axis}")([first, x, last])
        x = _transpose(layer, kernels, f"{layer.name}_transpose")(x)
        return tf.keras.layers.Cropping2D(layer.size, name=f"{layer.name}_crop")(x)

    return parts
