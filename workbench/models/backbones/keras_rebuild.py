"""The copy of one of Keras's networks in which the settings that a spec gives replace Keras's own.

What is left alone, because a network is not itself without it: the gates of squeeze-excite (their
activations and biases) and the parts of a hard swish, which is replaced as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lazy import tf
from workbench.models.backbones.layers import activate
from workbench.pixels import MIDDLE, SCALE
from workbench.surgery.activations import is_gate, is_operation
from workbench.surgery.rewrite import unfused

if TYPE_CHECKING:
    from workbench.models.backbones.keras_nets import KerasNet

REPLACED = ("relu", "swish", "silu", "gelu")  # activations for which a spec may give another
# Parts of the names of squeeze-excite's layers: Keras gives them no class, and their names are its only mark.
GATES = ("squeeze", "_se_")


class Changes:
    """Called with each layer of Keras's network, returns the layer of the copy."""

    def __init__(self, settings: KerasNet, model: tf.keras.Model) -> None:
        self.settings = settings
        convs = [layer.name for layer in model.layers if isinstance(layer, tf.keras.layers.Conv2D)]
        self.stem = convs[0] if convs else None
        self.same = getattr(settings, "padding", None) == "same"
        second = model.layers[1]
        self.scaling = second.name if isinstance(second, tf.keras.layers.Rescaling) else None

    def __call__(self, layer: tf.keras.layers.Layer) -> Any:
        if self.same and isinstance(layer, tf.keras.layers.ZeroPadding2D):
            return tf.keras.layers.Activation("linear", name=layer.name)
        if self.settings.activation and not _in_gate(layer):
            if is_hard_swish(layer):
                return lambda both: self._activate(both[0], layer.name)
            if is_activation(layer):
                return lambda x: self._activate(x, layer.name)
            if fused(layer):
                return unfused(layer, lambda x: self._activate(x, layer.name), **self._config(layer))
        return type(layer).from_config({**layer.get_config(), **self._config(layer)})

    def _activate(self, x: tf.Tensor, name: str) -> tf.Tensor:
        return activate(x, str(self.settings.activation), name, self.settings.prelu_start)

    def _config(self, layer: tf.keras.layers.Layer) -> dict[str, Any]:
        """Return what differs in the configuration of the layer's copy."""
        if layer.name == self.scaling:  # made for 0..255, given (x - 127.5) / 128
            scale, offset = layer.get_config()["scale"], layer.get_config()["offset"]
            return {"scale": scale / SCALE, "offset": MIDDLE * scale + offset}
        return {**self._norm(layer), **self._conv(layer)}

    def _norm(self, layer: tf.keras.layers.Layer) -> dict[str, Any]:
        given = {"momentum": self.settings.norm_momentum, "epsilon": self.settings.norm_epsilon}
        normalises = isinstance(layer, tf.keras.layers.BatchNormalization)
        return {name: value for name, value in given.items() if normalises and value is not None}

    def _conv(self, layer: tf.keras.layers.Layer) -> dict[str, Any]:
        found: dict[str, Any] = {}
        convolution = isinstance(layer, (tf.keras.layers.Conv2D, tf.keras.layers.DepthwiseConv2D))
        if convolution and self.settings.conv_bias is not None and not _in_gate(layer):
            found["use_bias"] = self.settings.conv_bias
        if layer.name == self.stem and self.settings.stem_stride:
            found["strides"] = (self.settings.stem_stride,) * 2
        if self.same and (convolution or isinstance(layer, tf.keras.layers.MaxPooling2D)):
            found["padding"] = "same"
        return found


def is_activation(layer: tf.keras.layers.Layer) -> bool:
    """Tell whether the layer is a ReLU, swish or GELU, capped or not, and no part of a gate."""
    if isinstance(layer, tf.keras.layers.ReLU):
        return not is_gate(layer)
    return isinstance(layer, tf.keras.layers.Activation) and _kind(layer) in REPLACED


def fused(layer: tf.keras.layers.Layer) -> bool:
    """Tell whether the layer computes something else and then a ReLU, swish or GELU itself (VGG)."""
    return not isinstance(layer, tf.keras.layers.Activation) and _kind(layer) in REPLACED


def is_hard_swish(layer: tf.keras.layers.Layer) -> bool:
    """Tell whether the layer is the product in x * relu6(x + 3) / 6.

    In squeeze-excite the gate is made of something else than x, and the answer is no.
    """
    if not isinstance(layer, tf.keras.layers.Multiply) or len(layer.inbound_nodes[0].keras_inputs) != 2:
        return False
    x, gate = layer.inbound_nodes[0].keras_inputs
    while gate is not x:
        maker = gate.node.layer
        if not (is_operation(maker) or isinstance(maker, tf.keras.layers.ReLU)):
            return False
        gate = maker.inbound_nodes[0].keras_inputs[0]
    return True


def _kind(layer: tf.keras.layers.Layer) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _in_gate(layer: tf.keras.layers.Layer) -> bool:
    return any(word in layer.name for word in GATES)
