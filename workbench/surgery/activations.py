"""ReLU to PReLU, and PReLU to what runtimes without PReLU can express."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import SpecError
from workbench.lazy import inside_keras, tf
from workbench.surgery.rewrite import rewrite, unfused


def relu_to_prelu(model: tf.keras.Model, start: float = 0.0, capped: bool = False) -> tf.keras.Model:
    """Return `model` with a PReLU, one slope a channel that starts at `start`, for every ReLU layer.

    The ReLU of a convolution or dense layer becomes a layer `NAME_prelu` after it.

    Args:
        model: A functional Keras model; it stays as it is.
        start: Slope below zero at the start; with 0 the outputs are equal until the slopes are trained.
        capped: Replace ReLU6 too, whose cap is lost; the gates of hard swishes stay.

    Raises:
        SpecError: There is no such layer.
    """

    def prelu(layer: tf.keras.layers.Layer, name: str) -> tf.keras.layers.Layer:
        initial = tf.keras.initializers.Constant(start)
        shared = list(range(1, len(layer.output_shape) - 1)) or None
        return tf.keras.layers.PReLU(alpha_initializer=initial, shared_axes=shared, name=name)

    def replace(layer: tf.keras.layers.Layer) -> Any:
        if _is_relu(layer, capped):
            return prelu(layer, layer.name)
        if getattr(layer, "activation", None) is tf.keras.activations.relu:
            return unfused(layer, prelu(layer, f"{layer.name}_prelu"))
        return None

    more = "" if capped or not _has_relu6(model) else " (there are ReLU6: capped=True replaces them)"
    return rewrite(model, replace, f"no ReLU layer found{more}")


def is_gate(layer: tf.keras.layers.Layer) -> bool:
    """Tell whether a ReLU6 is the middle of relu6(x + 3) / 6, the gate of MobileNetV3, and no activation."""
    if not (isinstance(layer, tf.keras.layers.ReLU) and layer.max_value):
        return False
    maker = layer.inbound_nodes[0].keras_inputs[0].node.layer
    if isinstance(maker, tf.keras.layers.Rescaling):
        return bool(maker.offset == 3.0)
    # Keras's own networks write `relu6(x + 3.0)`; a ReLU6 after any other operation, such as `x + y`, is an activation.
    return is_operation(maker) and any(_is_three(given) for given in maker.inbound_nodes[0].call_args)


def is_operation(layer: tf.keras.layers.Layer) -> bool:
    """Tell whether a layer is a function of TensorFlow's that Keras made a layer of, such as the `+ 3.0` of `x + 3.0`."""
    return isinstance(layer, inside_keras("src.layers.core.tf_op_layer").TFOpLambda)


def _is_three(given: Any) -> bool:
    """Tell whether an operation was given 3.0, which Keras keeps as a number or, of `3.0 + x`, as a tensor."""
    is_number = isinstance(given, float) or (
        tf.is_tensor(given) and not tf.keras.backend.is_keras_tensor(given)
    )
    return is_number and bool(np.all(np.asarray(given) == 3.0))


def _is_relu(layer: tf.keras.layers.Layer, capped: bool) -> bool:
    if isinstance(layer, tf.keras.layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return plain and (layer.max_value is None or (capped and not is_gate(layer)))
    is_activation = isinstance(layer, tf.keras.layers.Activation)
    return is_activation and layer.activation is tf.keras.activations.relu


def _has_relu6(model: tf.keras.Model) -> bool:
    return any(
        isinstance(layer, tf.keras.layers.ReLU) and layer.max_value and not is_gate(layer)
        for layer in model.layers
    )


def prelu_to_depthwise(model: tf.keras.Model) -> tf.keras.Model:
    """Return `model` with relu(x) + depthwise(relu(-x)) for every PReLU, the 1 x 1 kernel being -slope.

    PReLU is relu(x) - w * relu(-x), so outputs are equal. Slopes must be shared by all positions.
    """

    def replace(layer: tf.keras.layers.Layer) -> Any:
        return _parts(layer) if isinstance(layer, tf.keras.layers.PReLU) else None

    return rewrite(model, replace, "no PReLU layer found")


def _parts(prelu: tf.keras.layers.PReLU) -> Callable[[Any], Any]:
    """Return the function that takes the place of a PReLU."""
    slopes = prelu.get_weights()[0]
    if slopes.size != slopes.shape[-1]:
        raise SpecError(
            f"the slopes of {prelu.name} differ from position to position",
            expected="one slope a channel (shared_axes)",
            do="a depthwise convolution cannot express it",
        )
    layers, name = tf.keras.layers, prelu.name

    def parts(x: tf.Tensor) -> tf.Tensor:
        negative = layers.ReLU(name=f"{name}_negative")(layers.Rescaling(-1.0, name=f"{name}_minus")(x))
        flat = len(x.shape) == 2
        maps = layers.Reshape((1, 1, slopes.size), name=f"{name}_maps")(negative) if flat else negative
        depthwise = layers.DepthwiseConv2D(1, use_bias=False, name=f"{name}_dw")
        scaled = depthwise(maps)
        depthwise.set_weights([-np.reshape(slopes, (1, 1, -1, 1))])
        scaled = layers.Flatten(name=f"{name}_flat")(scaled) if flat else scaled
        return layers.Add(name=f"{name}_add")([layers.ReLU(name=f"{name}_positive")(x), scaled])

    return parts
