"""Embedding heads: the layers between feature maps [B, h, w, c] and the embedding [B, d].

Those of faces end in a batch normalisation `pre_embedding`; `Features` and `Linear` make plain classifiers, whose
class logits a loss's head computes from the features. All hand on float32, whatever the precision. Parameter
counts below are for h x w x c maps and size d, moving statistics counted (4 numbers a normalised
channel); a `pointwise` convolution of p filters before adds c * p + 4 * p and makes c = p, and a `bias`
adds d.
"""

from __future__ import annotations

import abc
from typing import Any, Union

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.models.backbones.layers import Activation, activate
from workbench.spec.interfaces import Embedding
from workbench.spec.part import part, setting


@part
class EmbeddingLayers(Embedding):
    """What the heads share: pointwise convolution before, normalisation after."""

    pointwise: Union[int, None] = setting(None, at_least=1, doc="filters of a pointwise convolution before")
    pointwise_activation: Activation = setting("relu", doc="activation after the pointwise convolution")
    bias: bool = setting(False, doc="the layer that makes the embedding has a bias")
    norm_momentum: float = setting(0.9, at_least=0, below=1, doc="of batch normalisation's moving statistics")
    norm_epsilon: float = setting(1e-5, above=0, doc="added to the variance in batch normalisation")
    norm_scale: bool = setting(True, doc="the last normalisation has a trained scale (gamma)")
    norm_bias: bool = setting(True, doc="the last normalisation has a trained bias (beta)")
    normalised: bool = setting(
        True, later=True, doc="end in that normalisation; False: in the layer before it"
    )

    def build(self, features: tf.Tensor) -> tf.Tensor:
        x = self._pointwise(features) if self.pointwise else features
        x = self.project(x)
        if self.normalised:
            x = self.norm(x, "pre_embedding", scale=self.norm_scale, center=self.norm_bias)
        return float32(x)

    @abc.abstractmethod
    def project(self, x: tf.Tensor) -> tf.Tensor:
        """Return [B, size] of feature maps [B, h, w, c]: what makes one head differ from another."""

    def _pointwise(self, x: tf.Tensor) -> tf.Tensor:
        x = self.maps(x)
        x = tf.keras.layers.Conv2D(self.pointwise, 1, use_bias=False, name="pointwise_conv")(x)
        return activate(self.norm(x, "pointwise_bn"), self.pointwise_activation, "pointwise")

    def norm(self, x: tf.Tensor, name: str, **options: Any) -> tf.Tensor:
        """Return `x` after batch normalisation."""
        layer = tf.keras.layers.BatchNormalization(
            momentum=self.norm_momentum, epsilon=self.norm_epsilon, name=name, **options
        )
        return layer(x)

    def dense(self, x: tf.Tensor) -> tf.Tensor:
        """Return the linear map of flat features to [B, size]."""
        layer = tf.keras.layers.Dense(
            self.size, use_bias=self.bias, kernel_initializer="glorot_normal", name="embedding_dense"
        )
        return layer(tf.keras.layers.Flatten(name="embedding_flatten")(x))

    def maps(self, x: tf.Tensor) -> tf.Tensor:
        """Return `x`, refusing features that are not maps."""
        if len(x.shape) != 4:
            raise SpecError(
                f"the backbone gives flat features of {x.shape[-1]} numbers",
                where=type(self).__name__,
                expected="feature maps",
                do="take E or F without pointwise",
            )
        return x


@part
class GDC(EmbeddingLayers):
    """Global depthwise convolution (Chen et al. 2018): a learned h x w kernel a channel instead of a mean.

    Linear depthwise kernel, normalisation, dropout, linear 1 x 1 convolution, normalisation.
    Parameters: h * w * c + 4 * c + c * d + 4 * d.
    """

    def project(self, x: tf.Tensor) -> tf.Tensor:
        x = self.maps(x)
        if x.shape[1] is None:
            raise SpecError("the input size is dynamic", where="GDC", do="take GAP, which has no fixed size")
        layers = tf.keras.layers
        x = layers.DepthwiseConv2D((x.shape[1], x.shape[2]), use_bias=False, name="gdc_dw")(x)
        x = dropped(self.norm(x, "gdc_bn"), self.dropout)
        conv = layers.Conv2D(
            self.size, 1, use_bias=self.bias, kernel_initializer="glorot_normal", name="gdc_conv"
        )
        return layers.Flatten(name="embedding_flatten")(conv(x))


@part
class E(EmbeddingLayers):
    """InsightFace's option E: normalisation, dropout, fully connected, normalisation.

    Parameters: 4 * c + h * w * c * d + 4 * d.
    """

    def project(self, x: tf.Tensor) -> tf.Tensor:
        return self.dense(dropped(self.norm(x, "embedding_bn"), self.dropout))


@part
class GAP(EmbeddingLayers):
    """Global average pooling: normalisation, mean of the map, dropout, fully connected, normalisation.

    Parameters: 4 * c + c * d + 4 * d; the only head that admits a dynamic input size.
    """

    def project(self, x: tf.Tensor) -> tf.Tensor:
        x = self.norm(self.maps(x), "embedding_bn")
        mean = tf.keras.layers.GlobalAveragePooling2D(name="embedding_mean")(x)
        return self.dense(dropped(mean, self.dropout))


@part
class F(EmbeddingLayers):
    """InsightFace's option F: E without its first normalisation. Parameters: h * w * c * d + 4 * d."""

    def project(self, x: tf.Tensor) -> tf.Tensor:
        return self.dense(dropped(x, self.dropout))


def dropped(x: tf.Tensor, share: float) -> tf.Tensor:
    """Return `x` after a dropout of this share, where there is one."""
    return tf.keras.layers.Dropout(share, name="embedding_dropout")(x) if share else x


def float32(x: tf.Tensor) -> tf.Tensor:
    """Return `x` as the embedding that losses read."""
    return tf.keras.layers.Activation("linear", dtype="float32", name="embedding")(x)


@part
class Features(Embedding):
    """The features as they are, flattened, after the dropout: no layer of its own.

    With `Softmax(head=Dense())` a backbone becomes a plain classifier: `MLP(units=(128,), dropout=0.4)` and
    `Features()` are Keras's `Flatten -> Dense(128, relu) -> Dropout(0.4) -> Dense(classes)`.
    """

    size: Union[int, None] = setting(  # type: ignore[assignment]
        None, at_least=1, doc="numbers in an embedding: those of the features; another number is refused"
    )

    def build(self, features: tf.Tensor) -> tf.Tensor:
        x = tf.keras.layers.Flatten(name="embedding_flatten")(features)
        if self.size not in (None, x.shape[-1]):
            raise SpecError(
                f"{self.size} is not possible",
                where="Features.size",
                expected=f"the {x.shape[-1]} of the features",
                do="leave it out, or take Linear",
            )
        return float32(dropped(x, self.dropout))


@part
class Linear(Embedding):
    """One dense layer on the flat features, without a normalisation: Keras's `Dense(size, activation)`.

    Parameters: h * w * c * d + d.
    """

    bias: bool = setting(True, doc="the layer has a bias")
    activation: Union[Activation, None] = setting(None, doc="activation after the layer")

    def build(self, features: tf.Tensor) -> tf.Tensor:
        layers = tf.keras.layers
        x = layers.Flatten(name="embedding_flatten")(features)
        x = layers.Dense(self.size, use_bias=self.bias, name="embedding_dense")(x)
        x = activate(x, self.activation, "embedding") if self.activation else x
        return float32(dropped(x, self.dropout))
