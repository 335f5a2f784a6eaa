"""What a schedule, a weight decay and an optimizer must be able to do."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

from workbench.lazy import tf
from workbench.spec.part import Part, part, setting


@part
class Schedule(Part):
    """A learning rate as a pure function of t, float epochs since the start of the run or stage."""

    from_number: ClassVar[str | None] = "workbench.optimizers.schedules:Constant"
    lowers: ClassVar[bool] = False  # its rate is lowered further by what the epochs before have measured

    @abc.abstractmethod
    def at(self, t: float) -> float:
        """Return the rate at `t`, in plain Python (not named `rate`: that is a setting of `Constant`)."""

    @abc.abstractmethod
    def tensor(self, t: tf.Tensor) -> tf.Tensor:
        """Return the same as a float32 scalar inside a graph; `t` is a float32 scalar."""

    @abc.abstractmethod
    def peak_rate(self) -> float:
        """Return the highest rate, to which decoupled weight decay is relative."""

    def breaks(self, epochs: int) -> tuple[int, ...]:
        """Return the 1-based epochs up to `epochs` at which the rate drops or restarts."""
        return ()


@part
class WeightDecay(Part):
    """What weight decay means; a plain number is `Decoupled`.

    The Trainer calls, in this order: `regulariser` (its value goes into the loss), `add_to` (on the gradients) and
    `shrink` (on the weights, before the gradient's update). A form does its work in one or two of them; the base
    does nothing in any. `pairs` are the weights that decay, each with its multiplier.
    """

    from_number: ClassVar[str | None] = "workbench.optimizers:Decoupled"

    value: float = setting(at_least=0, below=1, positional=True, doc="strength")
    head: float = setting(1.0, at_least=0, doc="multiplier on the weights of the classification head")
    norms: bool = setting(True, doc="decay batch-normalisation and PReLU parameters too")
    biases: bool = setting(True, doc="decay biases too")

    def regularises(self) -> bool:
        """Return whether the decay puts a regulariser into the loss."""
        return False

    def regulariser(self, pairs: Sequence[Any], peak: float | None = None) -> tf.Tensor:
        """Return the regulariser's part of the loss, a float32 scalar; `peak` is the schedule's highest rate."""
        return tf.zeros([])

    def add_to(
        self,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable],
        pairs: Sequence[Any],
        replicas: int = 1,
    ) -> list[Any]:
        """Return the gradients with the decay added.

        Args:
            gradients: Of `variables`, in their order; None for a weight without one.
            variables: The weights that the step updates.
            pairs: (weight, multiplier) of those that decay.
            replicas: How many devices' gradients will be summed: each then adds its share.
        """
        return list(gradients)

    def shrink(self, pairs: Sequence[Any], ratio: tf.Tensor) -> None:
        """Take the decay off the weights; `ratio` is lr(t) / peak, 0 in a step that loss scaling skips."""


@part
class Optimizer(Part):
    """A rule of updating weights; it carries no weight decay of its own."""

    @abc.abstractmethod
    def build(self) -> tf.keras.optimizers.Optimizer:
        """Return a fresh optimizer whose `learning_rate` is a variable that the step assigns."""

    def admits(self, decay: WeightDecay | None) -> None:
        """Raise `SpecError` for a form of decay that this optimizer refuses."""
