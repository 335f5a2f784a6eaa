"""Regularisers and normalisation constants of the layers of a model."""

from __future__ import annotations

from typing import Any

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.surgery.rewrite import reconfigured, rewrite


def add_l2(model: tf.keras.Model, wd: float, prelu: bool = False, norms: bool = False) -> tf.keras.Model:
    """Return `model` with Keras's l2(wd / 2) on its dense, convolution, depthwise and separable kernels.

    wd / 2 because Keras's l2(a) is a * sum(w**2): the gradient is then wd * w, as MXNet's `wd`. For
    models trained by Keras's own `fit`; in a spec that is `weight_decay=L2(wd)`.

    Args:
        model: A functional Keras model; it stays as it is.
        wd: The decay, above 0, as MXNet counts it.
        prelu: Also on the slopes of PReLU.
        norms: Also on gamma and beta of batch normalisation.

    Raises:
        SpecError: There is no layer with a kernel.
    """
    if wd <= 0:
        raise SpecError(f"{wd} is out of range", where="wd", expected="a value above 0")

    def replace(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer | None:
        names = _regularised(layer, prelu, norms)
        penalty = tf.keras.regularizers.serialize(tf.keras.regularizers.L2(wd / 2))
        return reconfigured(layer, **dict.fromkeys(names, penalty)) if names else None

    return rewrite(model, replace, "no layer with a kernel found")


def _regularised(layer: tf.keras.layers.Layer, prelu: bool, norms: bool) -> tuple[str, ...]:
    """Return the names of the regularisers to set; a depthwise kernel has one of its own."""
    layers = tf.keras.layers
    if isinstance(layer, (layers.SeparableConv2D, layers.SeparableConv1D)):
        return ("depthwise_regularizer", "pointwise_regularizer")
    if isinstance(layer, layers.DepthwiseConv2D):
        return ("depthwise_regularizer",)  # `kernel_regularizer` would be ignored without a word
    if isinstance(layer, (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)):
        return ("kernel_regularizer",)
    if isinstance(layer, layers.PReLU) and prelu:
        return ("alpha_regularizer",)
    if isinstance(layer, layers.BatchNormalization) and norms:
        return ("gamma_regularizer", "beta_regularizer")
    return ()


def set_norms(
    model: tf.keras.Model, momentum: float | None = None, epsilon: float | None = None
) -> tf.keras.Model:
    """Return `model` with another momentum or epsilon in every batch normalisation; weights unchanged."""
    given = {"momentum": momentum, "epsilon": epsilon}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    def replace(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer | None:
        return (
            reconfigured(layer, **changes) if isinstance(layer, tf.keras.layers.BatchNormalization) else None
        )

    return rewrite(model, replace, "no batch normalisation found")
