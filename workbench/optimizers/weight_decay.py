"""The three things that go by the name of weight decay, and which weights they touch.

All three take the same kind of number, `wd`, and differ in where it acts. For one weight w with
gradient g and learning rate lr, plain SGD without momentum makes of them:

    Decoupled(wd)   w <- w - wd * lr/peak * w - lr * g      TensorFlow Addons' SGDW and AdamW
    Coupled(wd)     w <- w - lr * (g + wd * w)              MXNet's and PyTorch's SGD
    L2(wd)          loss + wd/2 * w**2, so g + wd * w       Keras's l2(wd/2): **half** the number

So Keras's `l2(0.01)` is `L2(0.02)`, and `L2(wd)`, `Coupled(wd)` and `Decoupled(wd * peak)` make the same
step of plain SGD. Momentum and adaptive optimizers tell them apart: the first stays outside their state,
the other two go through it.

What the Trainer calls, and in which order, stands at the base (`WeightDecay`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.optimization import WeightDecay
from workbench.spec.part import part, setting


class Decayed(NamedTuple):
    """A weight that decays: `multiplier` scales the decay's value; `head` tells where it belongs."""

    variable: Any
    multiplier: float
    head: bool


@part
class Decoupled(WeightDecay):
    """Decay beside the gradient (Loshchilov and Hutter 2019): w <- w * (1 - value * lr(t) / peak).

    As in TensorFlow Addons `value` itself is taken off at the peak of the schedule, not value * lr; it
    follows the schedule by the ratio to its peak. The weights shrink before the gradient's update, whose
    gradient was taken before. `head` multiplies the value on the head's weights; `head_l2` does it the
    field's other way, by an L2 regulariser of value / peak * (head_l2 - 1) / 2 on the head's weights.
    """

    head_l2: float = setting(
        1.0, at_least=1, doc="multiplier of the head's decay, by an extra L2 regulariser"
    )

    def check(self) -> None:
        if self.head != 1 and self.head_l2 != 1:
            raise SpecError(
                f"the head's decay is multiplied twice: head={self.head:g} and head_l2={self.head_l2:g}",
                where="Decoupled",
                do="keep one of the two at 1",
            )

    def regularises(self) -> bool:
        return self.head_l2 != 1

    def regulariser(self, pairs: Sequence[Decayed], peak: float | None = None) -> tf.Tensor:
        if not self.regularises():
            return tf.zeros([])
        assert peak, "Decoupled(head_l2=...) needs the schedule's peak"
        strength = self.value / peak * (self.head_l2 - 1)
        return _sum_of_squares([(pair.variable, strength) for pair in pairs if pair.head])

    def shrink(self, pairs: Sequence[Decayed], ratio: tf.Tensor) -> None:
        """Apply w <- w * (1 - value * multiplier * ratio).

        It belongs between taking the gradients and applying them, and works in a replica of a strategy.
        """
        if not self.value or not pairs:
            return

        def update(strategy: tf.distribute.Strategy, ratios: Any) -> None:
            for pair in pairs:
                amount = self.value * pair.multiplier
                strategy.extended.update(pair.variable, _take_off(amount), args=(ratios,), group=False)

        # Mirrored variables may only be written for all replicas at once, so the replicas meet here.
        tf.distribute.get_replica_context().merge_call(update, args=(tf.cast(ratio, tf.float32),))


@part
class Coupled(WeightDecay):
    """Decay inside the gradient, after the loss (MXNet, PyTorch): g <- g + value * w.

    The optimizer sees it, so momentum accumulates it and Adam rescales it; the loss does not show it.
    """

    def add_to(
        self,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable],
        pairs: Sequence[Decayed],
        replicas: int = 1,
    ) -> list[Any]:
        multipliers = {id(pair.variable): pair.multiplier for pair in pairs}
        result = []
        for gradient, variable in zip(gradients, variables):
            strength = self.value * multipliers.get(id(variable), 0.0) / replicas
            if gradient is not None and strength:
                # A sparse gradient becomes dense here: decay touches the rows that the batch does not.
                gradient = tf.convert_to_tensor(gradient) + strength * tf.cast(variable, gradient.dtype)
            result.append(gradient)
        return result


@part
class L2(WeightDecay):
    """Decay as a regulariser in the loss: loss + value / 2 * sum(w**2), whose gradient is value * w.

    In Keras's words `l2(value / 2)`. The step is that of `Coupled(value)`; the recorded loss contains the
    regulariser, which is recorded alone as `regular_loss`.
    """

    def regularises(self) -> bool:
        return True

    def regulariser(self, pairs: Sequence[Decayed], peak: float | None = None) -> tf.Tensor:
        return _sum_of_squares([(pair.variable, self.value * pair.multiplier) for pair in pairs])


OFF = WeightDecay(value=0.0)  # what a stage without weight decay does: nothing


def decayed_weights(
    model: tf.keras.layers.Layer,
    trained: Sequence[tf.Variable],
    head: Sequence[tf.Variable],
    decay: WeightDecay | None,
) -> list[Decayed]:
    """Return which of the `trained` variables of `model` decay, with their multipliers.

    Convolution, depthwise and dense kernels always do. A layer's type tells normalisation and PReLU
    parameters (`norms`), a variable's name tells biases (`biases`); `head` lists the head's weights.
    """
    if decay is None:
        return []
    norms = _norm_variables(model)
    heads = {id(variable) for variable in head}
    chosen = []
    for variable in trained:
        if id(variable) in norms:
            wanted = decay.norms
        else:
            wanted = decay.biases or not _is_bias(variable)
        if wanted:
            in_head = id(variable) in heads
            chosen.append(Decayed(variable, decay.head if in_head else 1.0, in_head))
    return chosen


def _norm_variables(model: tf.keras.layers.Layer) -> set[int]:
    layers = tf.keras.layers
    kinds = (
        layers.BatchNormalization,
        layers.experimental.SyncBatchNormalization,
        layers.LayerNormalization,
        layers.GroupNormalization,
        layers.PReLU,
    )
    found = [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]
    return {id(variable) for layer in found for variable in layer.trainable_variables}


def _is_bias(variable: tf.Variable) -> bool:
    return bool(variable.name.split("/")[-1].split(":")[0].endswith("bias"))


def _sum_of_squares(weighted: Sequence[tuple[tf.Variable, float]]) -> tf.Tensor:
    """Return the sum of strength * w**2 / 2 over weights and their strengths, a float32 scalar."""
    parts = [
        strength * tf.nn.l2_loss(tf.cast(variable, tf.float32))  # l2_loss is sum(w**2) / 2
        for variable, strength in weighted
        if strength
    ]
    return tf.add_n(parts) if parts else tf.zeros([])


def _take_off(amount: float) -> Any:
    def apply(variable: tf.Variable, ratio: tf.Tensor) -> tf.Operation:
        return variable.assign_sub(variable * tf.cast(amount * ratio, variable.dtype))

    return apply
