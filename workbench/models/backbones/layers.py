"""What all backbones built here share: the settings of their layers, and those layers by name.

Layers have explicit names, so that checkpoints, weight files and patterns of surgery stay valid when a
network is built a second time in one process.
"""

from __future__ import annotations

from typing import Any, Literal

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.interfaces import Backbone
from workbench.spec.part import part, setting

# Whose network: some of Keras_insightface's differ from the papers'.
Form = Literal["paper", "keras_insightface"]
# How kernels are drawn at the start: Glorot's even draw as Keras does, or He's normal one by the inputs or outputs.
Initializer = Literal["glorot_uniform", "he_normal", "he_fan_out"]
Activation = Literal["relu", "relu6", "prelu", "leaky_relu", "swish", "hard_swish", "gelu", "elu"]


def activate(x: tf.Tensor, kind: str, name: str, prelu_start: float = 0.25) -> tf.Tensor:
    """Return `x` after the activation `kind`; PReLU has one slope a channel."""
    layers = tf.keras.layers
    if kind == "prelu":
        start = tf.keras.initializers.Constant(prelu_start)
        shared = list(range(1, len(x.shape) - 1)) or None
        return layers.PReLU(alpha_initializer=start, shared_axes=shared, name=f"{name}_prelu")(x)
    if kind == "relu6":
        return layers.ReLU(6.0, name=f"{name}_relu6")(x)
    if kind == "leaky_relu":
        return layers.LeakyReLU(0.2, name=f"{name}_leaky_relu")(x)
    if kind == "hard_swish":  # x * relu6(x + 3) / 6 (Howard et al. 2019)
        return layers.Multiply(name=f"{name}_hard_swish")([x, hard_sigmoid(x, name)])
    return layers.Activation(kind, name=f"{name}_{kind}")(x)


def hard_sigmoid(x: tf.Tensor, name: str) -> tf.Tensor:
    """Return relu6(x + 3) / 6, MobileNetV3's gate (Keras's own hard_sigmoid has another slope)."""
    layers = tf.keras.layers
    raised = layers.ReLU(6.0, name=f"{name}_hard_relu6")(
        layers.Rescaling(1.0, 3.0, name=f"{name}_hard_raise")(x)
    )
    return layers.Rescaling(1 / 6, name=f"{name}_hard_sigmoid")(raised)


def divisible(filters: float, by: int = 8) -> int:
    """Return `filters` rounded to a multiple of `by`, never below 90 % of it (MobileNetV2's rule)."""
    rounded = max(by, int(filters + by / 2) // by * by)
    return rounded if rounded >= 0.9 * filters else rounded + by


@part
class Network(Backbone):
    """The settings of layers, and the layers themselves."""

    activation: Activation = setting("relu", doc="activation after normalised convolutions")
    prelu_start: float = setting(0.25, at_least=0, below=1, doc="PReLU's slope at the start")
    norm_momentum: float = setting(0.9, at_least=0, below=1, doc="of batch normalisation's moving statistics")
    norm_epsilon: float = setting(1e-5, above=0, doc="added to the variance in batch normalisation")
    conv_bias: bool = setting(False, doc="convolutions have a bias of their own")
    kernel_initializer: Initializer = setting(
        "glorot_uniform",
        later=True,
        doc="how kernels of convolutions are drawn; he_fan_out: by their outputs",
    )

    def stride(self) -> int:
        """Return how many input pixels one cell of the feature maps covers along a side."""
        return 32

    def check(self) -> None:
        if self.image_size < self.stride():
            raise SpecError(
                f"an input of {self.image_size} pixels is too small for the strides of {self.stride()} in all",
                where=f"{type(self).__name__}.image_size",
                expected=f"at least {self.stride()}, or a smaller stem_stride where there is one",
            )

    # ------------------------------------------------------------ layers

    def drawn(self) -> Any:
        """Return the initializer of a convolution's kernel: a new one each, for Keras warns of one used twice.

        "he_fan_out" has the variance 2 over the outputs of a kernel, k * k * filters (He et al. 2015, equation 14), and
        is cut at two deviations: the start of Keras_insightface's ResNets, VarGFaceNet and later GhostNet.
        """
        if self.kernel_initializer == "he_fan_out":
            return tf.keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
        return self.kernel_initializer

    def conv(
        self,
        x: tf.Tensor,
        filters: int,
        kernel: int,
        name: str,
        stride: int = 1,
        groups: int = 1,
        padding: str = "same",
        bias: bool | None = None,
    ) -> tf.Tensor:
        """Return a convolution of `x` [B, h, w, c] to `filters` channels."""
        x, padding = self.padded(x, kernel, padding, name)
        layer = tf.keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding=padding,
            groups=groups,
            use_bias=self.conv_bias if bias is None else bias,
            kernel_initializer=self.drawn(),
            name=name,
        )
        return layer(x)

    def padded(self, x: tf.Tensor, kernel: int, padding: str, name: str) -> tuple[tf.Tensor, str]:
        """Return what a convolution reads and the padding left to it; a network may pad its maps itself."""
        return x, padding

    def depthwise(
        self, x: tf.Tensor, kernel: int, name: str, stride: int = 1, padding: str = "same"
    ) -> tf.Tensor:
        """Return a depthwise convolution of `x`, one kernel a channel."""
        layer = tf.keras.layers.DepthwiseConv2D(
            kernel,
            strides=stride,
            padding=padding,
            use_bias=self.conv_bias,
            depthwise_initializer=self.drawn(),
            name=name,
        )
        return layer(x)

    def norm(self, x: tf.Tensor, name: str, **options: Any) -> tf.Tensor:
        """Return `x` after batch normalisation."""
        layer = tf.keras.layers.BatchNormalization(
            momentum=self.norm_momentum, epsilon=self.norm_epsilon, name=name, **options
        )
        return layer(x)

    def act(self, x: tf.Tensor, name: str, kind: str | None = None) -> tf.Tensor:
        """Return `x` after the network's activation, or after `kind`."""
        return activate(x, kind or self.activation, name, self.prelu_start)

    def conv_norm(self, x: tf.Tensor, filters: int, kernel: int, name: str, **options: Any) -> tf.Tensor:
        """Return convolution and normalisation: the linear end of many blocks."""
        return self.norm(self.conv(x, filters, kernel, f"{name}_conv", **options), f"{name}_bn")

    def conv_unit(self, x: tf.Tensor, filters: int, kernel: int, name: str, **options: Any) -> tf.Tensor:
        """Return convolution, normalisation and activation."""
        return self.act(self.conv_norm(x, filters, kernel, name, **options), name)

    def depthwise_unit(self, x: tf.Tensor, kernel: int, name: str, **options: Any) -> tf.Tensor:
        """Return depthwise convolution, normalisation and activation."""
        x = self.norm(self.depthwise(x, kernel, f"{name}_dw", **options), f"{name}_dw_bn")
        return self.act(x, f"{name}_dw")

    def squeeze_excite(
        self,
        x: tf.Tensor,
        reduced: int,
        name: str,
        activation: str = "relu",
        gate: Literal["sigmoid", "hard_sigmoid", "keras_hard_sigmoid"] = "sigmoid",
    ) -> tf.Tensor:
        """Return `x` with each channel scaled by a gate of all channels' means (Hu et al. 2018).

        Gates are 1 / (1 + exp(-x)), relu6(x + 3) / 6 or Keras's own hard sigmoid, 0.2 x + 0.5 within 0..1.
        """
        layers = tf.keras.layers
        channels = x.shape[-1]
        weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_se_mean")(x)
        weights = layers.Conv2D(reduced, 1, kernel_initializer=self.drawn(), name=f"{name}_se_reduce")(
            weights
        )
        weights = activate(weights, activation, f"{name}_se", self.prelu_start)
        weights = layers.Conv2D(channels, 1, kernel_initializer=self.drawn(), name=f"{name}_se_expand")(
            weights
        )
        if gate == "hard_sigmoid":
            weights = hard_sigmoid(weights, f"{name}_se_gate")
        else:
            kind = {"sigmoid": "sigmoid", "keras_hard_sigmoid": "hard_sigmoid"}[gate]
            weights = layers.Activation(kind, name=f"{name}_se_gate")(weights)
        return layers.Multiply(name=f"{name}_se_scale")([x, weights])
