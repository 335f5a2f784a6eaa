"""Batch normalisation over the global batch: what makes several devices train as one.

Keras can synchronise its own layer within a strategy only, and then leaves the fused kernel's rule for
the moving variance. So the layers of a built network are told here to take mean and variance over all
replicas, for strategies and Horovod alike, and to move their statistics as they do on one device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.distribute import collectives
from workbench.lazy import tf


def synchronise(network: tf.keras.Model) -> int:
    """Let every batch normalisation of `network` use the global batch in training; return how many do."""
    kinds = tf.keras.layers.BatchNormalization
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, kinds)]
    for layer in layers:
        # Keras's private names, on purpose: a layer class of our own would change the network's saved form. Tests
        # compare the result with one device.
        layer._no_sync_calculate_mean_and_var = _unfused
        layer._fused_batch_norm = _fused(layer, layer._fused_batch_norm)
    return len(layers)


def moments(x: tf.Tensor, axes: list[int], keep: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance of `x` over `axes` and all replicas, from those of each replica.

    With mean m_r and variance v_r of replica r (equal sizes): m = mean(m_r), v = mean(v_r + (m_r - m)^2).
    Nothing large is subtracted from something large, unlike in mean(x^2) - m^2 (Chan et al. 1983).
    """
    own_mean, own_variance = tf.nn.moments(x, axes, keepdims=keep)
    if collectives.count() == 1:
        return own_mean, own_variance
    # Mean and variance in one collective a layer: there are fifty layers, and each collective is a round.
    both = collectives.stacked(tf.stack([own_mean, own_variance]))  # [n, 2, ...]
    means, variances = both[:, 0], both[:, 1]
    mean = tf.reduce_mean(means, axis=0)
    return mean, tf.reduce_mean(variances + tf.square(means - mean), axis=0)


def _unfused(inputs: Any, reduction_axes: list[int], keep_dims: bool, mask: Any = None) -> Any:
    return moments(inputs, reduction_axes, keep_dims)


def _fused(layer: Any, before: Callable[..., Any]) -> Callable[..., Any]:
    """Return the layer's step for images: global moments in training, the kernel itself elsewhere."""

    def normalise(inputs: tf.Tensor, mask: Any = None, training: Any = None) -> tf.Tensor:
        constant = tf.get_static_value(training) if tf.is_tensor(training) else training
        # The graph of one device, and of evaluation, is Keras's own, fused kernel and all.
        if not constant or collectives.count() == 1:
            return before(inputs, mask=mask, training=training)
        numbers = tf.cast(inputs, tf.float32)
        mean, variance = moments(numbers, [0, 1, 2])
        one, zero = tf.ones_like(mean), tf.zeros_like(mean)
        gamma, beta = layer.gamma if layer.scale else one, layer.beta if layer.center else zero
        result = tf.nn.batch_normalization(numbers, mean, variance, beta, gamma, layer.epsilon)
        # The fused kernel moves its statistics by the unbiased variance, n / (n - 1); so does this.
        count = tf.cast(collectives.count() * (tf.size(inputs) // tf.size(mean)), tf.float32)
        _move(layer.moving_mean, mean, layer.momentum)
        _move(layer.moving_variance, variance * count / tf.maximum(count - 1.0, 1.0), layer.momentum)
        return tf.cast(result, inputs.dtype)

    return normalise


def _move(variable: tf.Variable, value: tf.Tensor, momentum: float) -> None:
    # Without gradient: statistics follow the batch, the loss does not reach through them.
    variable.assign_sub((variable - tf.stop_gradient(value)) * (1.0 - momentum))
