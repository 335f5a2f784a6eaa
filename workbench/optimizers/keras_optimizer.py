"""What the training step asks of an optimizer, whatever its class: make, build, hand on, scale.

All rules are Keras's `legacy` optimizers or TensorFlow Addons' (built on the same class): one fused
operation a weight, state by slots that `tf.train.Checkpoint` restores exactly, and one behaviour under
loss scaling and distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.lazy import tf
from workbench.spec.optimization import Optimizer


def make(rule: Optimizer, policy: str = "float32") -> tf.keras.optimizers.Optimizer:
    """Return a fresh optimizer, with dynamic loss scaling under the policy `mixed_float16`."""
    optimizer = rule.build()
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer) if policy == "mixed_float16" else optimizer


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


def build(optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]) -> None:
    """Create the optimizer's state for `variables` now, outside any graph."""
    inner = _inner(optimizer)
    inner._create_all_weights(list(variables))
    wrapped = getattr(inner, "_optimizer", None)
    if wrapped is not None:  # Lookahead: the rule inside counts with the same counter
        wrapped._iterations = inner.iterations


def copy_state(old: tf.keras.optimizers.Optimizer, fresh: tf.keras.optimizers.Optimizer) -> None:
    """Hand momentum, moments, step count and loss scale of `old` to `fresh`, built for the same weights."""
    for source, target in zip(state(old), state(fresh), strict=True):
        target.assign(source)


def state(optimizer: tf.keras.optimizers.Optimizer) -> list[tf.Variable]:
    """Return every variable of an optimizer's state but the learning rate, in a stable order."""
    scale = getattr(optimizer, "_loss_scale", None)
    extra = list(getattr(scale, "_weights", {}).values())
    seen = {id(variable): variable for variable in [*_inner(optimizer).weights, *extra]}
    return list(seen.values())


def scaled(optimizer: tf.keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """Return the loss times the loss scale, where there is one."""
    return optimizer.get_scaled_loss(loss) if hasattr(optimizer, "get_scaled_loss") else loss


def unscaled(optimizer: tf.keras.optimizers.Optimizer, gradients: Sequence[Any]) -> list[Any]:
    """Return the gradients divided by the loss scale, where there is one."""
    if hasattr(optimizer, "get_unscaled_gradients"):
        return list(optimizer.get_unscaled_gradients(gradients))
    return list(gradients)


def apply(
    optimizer: tf.keras.optimizers.Optimizer, gradients: Sequence[Any], variables: Sequence[Any], summed: bool
) -> None:
    """Update the variables; `summed` says that the gradients hold those of all replicas already."""
    options = {"experimental_aggregate_gradients": False} if summed else {}
    optimizer.apply_gradients(zip(gradients, variables), **options)


def taken(optimizer: tf.keras.optimizers.Optimizer, gradients: Sequence[Any]) -> tf.Tensor:
    """Return 0 where loss scaling will skip the step because a gradient overflowed, else 1 (float32).

    `gradients` are those unscaled; what happens beside the optimizer (decoupled decay) is multiplied by it.
    """
    if not hasattr(optimizer, "get_unscaled_gradients"):
        return tf.ones([])
    bad = tf.add_n([tf.reduce_sum(tf.cast(~tf.math.is_finite(g), tf.float32)) for g in _dense(gradients)])
    replica = tf.distribute.get_replica_context()
    return tf.cast(tf.equal(replica.all_reduce(tf.distribute.ReduceOp.SUM, bad), 0.0), tf.float32)


def _dense(gradients: Sequence[Any]) -> list[tf.Tensor]:
    return [getattr(gradient, "values", gradient) for gradient in gradients if gradient is not None]
