"""Oriented gradients: a backbone without trained weights, for data sets too small to learn filters from."""

from __future__ import annotations

import numpy as np

from workbench.lazy import tf
from workbench.spec.interfaces import Backbone
from workbench.spec.part import part, setting

GREY = 3.0  # the channels are averaged
EPSILON = 1e-6  # of squared brightness: a flat patch has no direction


@part
class OrientedGradients(Backbone):
    """Maps of edge strength by direction, after Dalal and Triggs (2005), without block normalisation.

    The grey image is convolved with the two derivatives of a Gaussian of `blur` pixels, (gx, gy) with
    length m. Direction k of K, at angle a = 2 pi k / K, has the response
    max(0, gx cos a + gy sin a)^4 / m^3 = m cos(angle - a)^4 where that is positive; means over squares of
    `cell` pixels are taken and compressed by a square root. Output: [B, size/cell, size/cell, K].
    No parameters. Learning is left to the embedding behind it.
    """

    directions: int = setting(8, at_least=2, doc="directions of edges")
    cell: int = setting(16, at_least=2, doc="side of the squares that are averaged, pixels")
    blur: float = setting(1.0, above=0, doc="standard deviation of the Gaussian, pixels")

    def quick(self) -> OrientedGradients:
        return self

    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        layers = tf.keras.layers
        kernel = self._kernel()
        derivatives = layers.Conv2D(
            2,
            kernel.shape[0],
            padding="same",
            use_bias=False,
            trainable=False,
            name="gradient",
            kernel_initializer=tf.keras.initializers.Constant(kernel),
            dtype="float32",
        )(inputs)
        angles = 2 * np.pi * np.arange(self.directions) / self.directions
        turn = np.stack([np.cos(angles), np.sin(angles)])[None, None].astype(np.float32)
        along = layers.Conv2D(
            self.directions,
            1,
            use_bias=False,
            trainable=False,
            activation="relu",
            name="directions",
            kernel_initializer=tf.keras.initializers.Constant(turn),
            dtype="float32",
        )(derivatives)
        length = tf.reduce_sum(derivatives**2, -1, keepdims=True) + EPSILON
        response = along**4 * length**-1.5
        return tf.sqrt(layers.AveragePooling2D(self.cell, name="cells")(response) + EPSILON)

    def _kernel(self) -> np.ndarray:
        """Return [n, n, 3, 2]: the derivatives of a Gaussian along x and y of the mean of the channels."""
        radius = int(np.ceil(3 * self.blur))
        x = np.arange(-radius, radius + 1)
        bell = np.exp(-(x**2) / (2 * self.blur**2))
        bell /= bell.sum()
        slope = x / self.blur**2 * bell
        pair = np.stack([np.outer(bell, slope), np.outer(slope, bell)], -1)
        return np.repeat(pair[:, :, None, :], 3, 2).astype(np.float32) / GREY
