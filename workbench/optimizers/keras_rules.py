"""LAMB, LazyAdam, RectifiedAdam and Lookahead as Keras optimizers, for a TensorFlow that Addons are not made for.

TensorFlow Addons end at Python 3.11. These are the same rules under the same names, with the same state in the same
order, so that a checkpoint of one stack goes on with the other: equal to Addons to rounding (tested where both are).
Imports TensorFlow.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from workbench.lazy import tf


class _OwnStep(tf.keras.optimizers.legacy.Adam):
    """Adam's moments m and v, and a step made of them that is not Adam's."""

    @abc.abstractmethod
    def step(self, m: tf.Tensor, v: tf.Tensor, var: tf.Variable, of: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return what is taken off `var` at learning rate 1; `of` holds the coefficients of the iteration."""

    def _coefficients(self, var: tf.Variable, apply_state: Any) -> Mapping[str, tf.Tensor]:
        where = var.device, var.dtype.base_dtype
        found: Mapping[str, tf.Tensor] = (apply_state or {}).get(where) or self._fallback_apply_state(*where)
        return found

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None) -> Any:
        of = self._coefficients(var, apply_state)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = m.assign(m * of["beta_1_t"] + grad * of["one_minus_beta_1_t"])
        new_v = v.assign(v * of["beta_2_t"] + grad * grad * of["one_minus_beta_2_t"])
        return tf.group(var.assign_sub(of["lr_t"] * self.step(new_m, new_v, var, of)), new_m, new_v)

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Any = None
    ) -> Any:
        """Let the moments of every row fade, as those of a dense gradient with zeros would."""
        of = self._coefficients(var, apply_state)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        with tf.control_dependencies([m.assign(m * of["beta_1_t"])]):
            new_m = self._resource_scatter_add(m, indices, grad * of["one_minus_beta_1_t"])
        with tf.control_dependencies([v.assign(v * of["beta_2_t"])]):
            new_v = self._resource_scatter_add(v, indices, grad * grad * of["one_minus_beta_2_t"])
        step = of["lr_t"] * self.step(new_m, new_v, var, of)
        return tf.group(self._take_off(var, indices, step), new_m, new_v)

    def _take_off(self, var: tf.Variable, indices: tf.Tensor, step: tf.Tensor) -> Any:
        return var.assign_sub(step)


class LAMB(_OwnStep):
    """r = m^ / (sqrt(v^) + epsilon), w <- w - eta |w| / |r| r (You et al. 2020)."""

    def step(self, m: tf.Tensor, v: tf.Tensor, var: tf.Variable, of: Mapping[str, tf.Tensor]) -> tf.Tensor:
        mean, square = m / (1.0 - of["beta_1_power"]), v / (1.0 - of["beta_2_power"])
        r = mean / (tf.sqrt(square) + of["epsilon"])
        ratio = tf.norm(var) / tf.norm(r)
        return tf.where(tf.math.is_finite(ratio) & (ratio > 0), ratio, 1.0) * r  # where a norm is 0: plain r


class RectifiedAdam(_OwnStep):
    """Adam whose rate is multiplied by r_t once the moving average is long enough (Liu et al. 2020)."""

    def __init__(self, learning_rate: float, sma_threshold: float = 5.0, **options: Any) -> None:
        super().__init__(learning_rate, name=options.pop("name", "RectifiedAdam"), **options)
        self.sma_threshold = sma_threshold

    def _prepare_local(self, var_device: str, var_dtype: Any, apply_state: Any) -> None:
        super()._prepare_local(var_device, var_dtype, apply_state)
        of = apply_state[(var_device, var_dtype)]
        k = tf.cast(self.iterations + 1, var_dtype)
        longest = 2.0 / of["one_minus_beta_2_t"] - 1.0
        length = longest - 2.0 * k * of["beta_2_power"] / (1.0 - of["beta_2_power"])
        ratio = (length - 4.0) / (longest - 4.0) * (length - 2.0) / (longest - 2.0) * longest / length
        of["r_t"], of["is_long"] = tf.sqrt(ratio), length >= self.sma_threshold

    def step(self, m: tf.Tensor, v: tf.Tensor, var: tf.Variable, of: Mapping[str, tf.Tensor]) -> tf.Tensor:
        mean, root = m / (1.0 - of["beta_1_power"]), tf.sqrt(v / (1.0 - of["beta_2_power"]))
        return tf.where(of["is_long"], of["r_t"] * mean / (root + of["epsilon"]), mean)

    def _take_off(self, var: tf.Variable, indices: tf.Tensor, step: tf.Tensor) -> Any:
        return self._resource_scatter_add(var, indices, -tf.gather(step, indices))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sma_threshold": self.sma_threshold}


class LazyAdam(tf.keras.optimizers.legacy.Adam):
    """Adam that leaves alone the moments and weights of rows without a gradient."""

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Any = None
    ) -> Any:
        where = var.device, var.dtype.base_dtype
        of = (apply_state or {}).get(where) or self._fallback_apply_state(*where)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = of["beta_1_t"] * tf.gather(m, indices) + of["one_minus_beta_1_t"] * grad
        new_v = of["beta_2_t"] * tf.gather(v, indices) + of["one_minus_beta_2_t"] * grad * grad
        updates = [
            slot.scatter_update(tf.IndexedSlices(new, indices)) for slot, new in ((m, new_m), (v, new_v))
        ]
        step = of["lr"] * new_m / (tf.sqrt(new_v) + of["epsilon"])
        return tf.group(self._resource_scatter_add(var, indices, -step), *updates)


class Lookahead(tf.keras.optimizers.legacy.Optimizer):
    """Every `sync_period` steps of `optimizer`: slow <- slow + slow_step_size (w - slow), w <- slow.

    The rule inside owns the learning rate and its own state; both count with one counter.
    """

    def __init__(
        self, optimizer: Any, sync_period: int = 6, slow_step_size: float = 0.5, name: str = "Lookahead"
    ) -> None:
        super().__init__(name)
        self._optimizer = optimizer
        self.sync_period, self.slow_step_size = sync_period, slow_step_size
        self._track_trackable(optimizer, "lh_base_optimizer")  # Addons' name: it stands in checkpoints

    @property
    def learning_rate(self) -> Any:
        return self._optimizer._get_hyper("learning_rate")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._optimizer._set_hyper("learning_rate", value)

    lr = learning_rate

    @property
    def weights(self) -> list[tf.Variable]:
        return [*self._weights, *self._optimizer.weights]

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        self._optimizer._create_slots(var_list=var_list)
        for var in var_list:
            self.add_slot(var, "slow", initializer=var)

    def _create_hypers(self) -> None:
        self._optimizer._create_hypers()

    def _prepare(self, var_list: list[tf.Variable]) -> Any:
        return self._optimizer._prepare(var_list=var_list)

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, **options: Any) -> Any:
        self._optimizer._iterations = self.iterations
        return super().apply_gradients(grads_and_vars, name, **options)

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None) -> Any:
        update = self._optimizer._resource_apply_dense(grad, var, apply_state=apply_state)
        return self._after(update, var)

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Any = None
    ) -> Any:
        update = self._optimizer._resource_apply_sparse(grad, var, indices, apply_state=apply_state)
        return self._after(update, var)

    def _after(self, update: Any, var: tf.Variable) -> Any:
        """Move the slow weights after the fast ones, in the steps that are due."""
        with tf.control_dependencies([update]):
            slow = self.get_slot(var, "slow")
            due = tf.equal((self.iterations + 1) % self.sync_period, 0)
            moved = slow + self.slow_step_size * (var - slow)
            return tf.group(
                slow.assign(tf.where(due, moved, slow)), var.assign(tf.where(due, moved, var)), update
            )

    def get_config(self) -> dict[str, Any]:
        inner = tf.keras.optimizers.serialize(self._optimizer)
        own = {"sync_period": self.sync_period, "slow_step_size": self.slow_step_size}
        return {**super().get_config(), "optimizer": inner, **own}
