"""The rules of updating weights. None carries weight decay of its own: see `decay.py`.

g is the gradient, w the weight, eta the learning rate of the step (set by the schedule). The starting
rate given to each optimizer is a placeholder that the first step overwrites.
"""

from __future__ import annotations

from typing import Any

from workbench.errors import SpecError
from workbench.lazy import addons, tf
from workbench.optimizers.weight_decay import Decoupled
from workbench.spec.optimization import Optimizer, WeightDecay
from workbench.spec.part import part, setting

PLACEHOLDER_RATE = 0.01


def _rules() -> Any:
    """Return the module of the rules that Keras lacks: TensorFlow Addons' where they are, else ours."""
    found = addons()
    if found is not None:
        return found.optimizers
    from workbench.optimizers import keras_rules

    return keras_rules


def _decoupled_only(rule: Optimizer, decay: WeightDecay | None, plain: str) -> None:
    if decay is not None and not isinstance(decay, Decoupled):
        name = type(rule).__name__
        raise SpecError(
            f"{name} refuses {decay}",
            where="weight_decay",
            expected="Decoupled or a number",
            do=f"or take {plain}, which admits every form",
        )


@part
class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964): v <- momentum * v - eta * g, w <- w + v.

    With `nesterov` w <- w + momentum * v - eta * g after the same v (Sutskever et al. 2013).
    """

    momentum: float = setting(0.0, at_least=0, below=1, doc="share of the last update that goes on")
    nesterov: bool = setting(False, doc="look ahead along the momentum")

    def check(self) -> None:
        if self.nesterov and not self.momentum:
            raise SpecError("nesterov without momentum", where=type(self).__name__, do="give momentum=0.9")

    def build(self) -> tf.keras.optimizers.Optimizer:
        return tf.keras.optimizers.legacy.SGD(
            PLACEHOLDER_RATE, momentum=self.momentum, nesterov=self.nesterov
        )


@part
class SGDW(SGD):
    """SGD for decoupled weight decay alone (Loshchilov and Hutter 2019); refuses the other forms."""

    def admits(self, decay: WeightDecay | None) -> None:
        _decoupled_only(self, decay, "SGD")


@part
class Moments(Optimizer):
    """The settings of Adam and its kin."""

    beta_1: float = setting(0.9, at_least=0, below=1, doc="decay of the mean of gradients, a step")
    beta_2: float = setting(0.999, at_least=0, below=1, doc="decay of the mean of squared gradients, a step")
    epsilon: float = setting(1e-7, above=0, doc="added to the root of the squares")

    def _settings(self) -> dict[str, float]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@part
class Adam(Moments):
    """Adam (Kingma and Ba 2015): the mean gradient over the root of the mean squared one.

    m <- b1 m + (1-b1) g, v <- b2 v + (1-b2) g**2, and in step k
    w <- w - eta * sqrt(1 - b2**k) / (1 - b1**k) * m / (sqrt(v) + epsilon).
    """

    amsgrad: bool = setting(False, doc="divide by the largest v so far (Reddi et al. 2018)")

    def build(self) -> tf.keras.optimizers.Optimizer:
        return tf.keras.optimizers.legacy.Adam(PLACEHOLDER_RATE, amsgrad=self.amsgrad, **self._settings())


@part
class AdamW(Adam):
    """Adam for decoupled weight decay alone (Loshchilov and Hutter 2019); refuses the other forms."""

    def admits(self, decay: WeightDecay | None) -> None:
        _decoupled_only(self, decay, "Adam")


@part
class Nadam(Moments):
    """Adam with Nesterov momentum (Dozat 2016).

    Its momentum in step k follows Keras's schedule, b1 * (1 - 0.5 * 0.96**(k / 250)).
    """

    def build(self) -> tf.keras.optimizers.Optimizer:
        return tf.keras.optimizers.legacy.Nadam(PLACEHOLDER_RATE, **self._settings())


@part
class Adamax(Moments):
    """Adam with the infinity norm (Kingma and Ba 2015, section 7).

    u <- max(b2 u, |g|), w <- w - eta / (1 - b1**k) * m / (u + epsilon).
    """

    def build(self) -> tf.keras.optimizers.Optimizer:
        return tf.keras.optimizers.legacy.Adamax(PLACEHOLDER_RATE, **self._settings())


@part
class LAMB(Moments):
    """Layer-wise adaptive moments for large batches (You et al. 2020).

    Adam's bias-corrected step r, scaled layer by layer: w <- w - eta * |w| / |r| * r. Decay stays
    outside the ratio; the norm |w| is that after decoupled decay.
    """

    epsilon: float = setting(1e-6, above=0, doc="added to the root of the squares")

    def build(self) -> tf.keras.optimizers.Optimizer:
        return _rules().LAMB(PLACEHOLDER_RATE, **self._settings())


@part
class LazyAdam(Moments):
    """Adam that updates only those rows of a weight that have a (sparse) gradient.

    For sampled classes; dense gradients are updated as in Adam. Decoupled decay only: the other forms
    would make every gradient dense.
    """

    def build(self) -> tf.keras.optimizers.Optimizer:
        return _rules().LazyAdam(PLACEHOLDER_RATE, **self._settings())

    def admits(self, decay: WeightDecay | None) -> None:
        _decoupled_only(self, decay, "Adam")


@part
class RectifiedAdam(Moments):
    """Adam whose adaptive rate is rectified for its variance in the first steps (Liu et al. 2020).

    The optimizer that the field calls Ranger is `Lookahead(optimizer=RectifiedAdam())`.
    """

    sma_threshold: float = setting(5.0, at_least=4, doc="length of the moving average that is trusted")

    def build(self) -> tf.keras.optimizers.Optimizer:
        return _rules().RectifiedAdam(PLACEHOLDER_RATE, sma_threshold=self.sma_threshold, **self._settings())


@part
class Lookahead(Optimizer):
    """Slow weights that follow another rule's fast ones (Zhang et al. 2019).

    Every `sync_period` steps slow <- slow + slow_step * (w - slow), w <- slow.
    """

    optimizer: Optimizer = setting(RectifiedAdam(), doc="the rule of the fast weights")
    sync_period: int = setting(6, at_least=1, doc="steps between two moves of the slow weights")
    slow_step: float = setting(0.5, above=0, at_most=1, doc="share of the way that slow weights go")

    def check(self) -> None:
        if isinstance(self.optimizer, Lookahead):
            raise SpecError(
                "Lookahead around Lookahead", where="Lookahead.optimizer", do="give the inner rule"
            )

    def build(self) -> tf.keras.optimizers.Optimizer:
        inner = self.optimizer.build()
        return _rules().Lookahead(inner, sync_period=self.sync_period, slow_step_size=self.slow_step)

    def admits(self, decay: WeightDecay | None) -> None:
        self.optimizer.admits(decay)
