"""Learning rates as pure functions of t, float epochs since the start of the run or of the stage.

Each formula is written once, over a small set of operations that exist both in plain Python (for
pictures and forecasts, no TensorFlow) and in a graph (for training, no Python call per batch).

Every schedule can be preceded by a linear warm-up over `warmup` epochs,

    rate(t) = curve(0) * (t + 1) / (warmup + 1)     for t < warmup,

so that the first epoch is not spent at rate zero and epoch `warmup` (0-based) has the full rate. With
`start` it begins there instead: rate(t) = start + (curve(0) - start) * t / warmup, as the schedules of
Keras_insightface do from their floor. With
`per="epoch"` t is floor(t): the rate changes between epochs only; `per="batch"` follows t itself.
"""

from __future__ import annotations

import abc
import bisect
import functools
import math
from typing import Any, Literal, Union

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.optimization import Schedule
from workbench.spec.part import part, setting

HORIZON = 10_000  # epochs up to which cosine restarts are laid out; the last cycle then runs out


class _Plain:
    """The operations of a schedule's formula on Python numbers."""

    floor, sin, exp = math.floor, math.sin, math.exp

    @staticmethod
    def where(condition: bool, yes: float, no: float) -> float:
        return yes if condition else no

    @staticmethod
    def cycle(starts: tuple[float, ...], t: float) -> tuple[int, float]:
        """Return the number of the last of `starts` that is not after `t`, and that start."""
        number = max(bisect.bisect_right(starts, t) - 1, 0)
        return number, starts[number]


class _Graph:
    """The same operations on float32 scalars of a graph."""

    @staticmethod
    def floor(x: Any) -> Any:
        return tf.floor(x)

    @staticmethod
    def sin(x: Any) -> Any:
        return tf.sin(x)

    @staticmethod
    def exp(x: Any) -> Any:
        return tf.exp(x)

    @staticmethod
    def where(condition: Any, yes: Any, no: Any) -> Any:
        return tf.where(condition, yes, no)

    @staticmethod
    def cycle(starts: tuple[float, ...], t: Any) -> tuple[Any, Any]:
        table = tf.constant(starts, tf.float32)
        number = tf.maximum(tf.searchsorted(table, t[None], side="right")[0] - 1, 0)
        return tf.cast(number, tf.float32), table[number]


@part
class Curve(Schedule):
    """What all schedules here share: the warm-up and whether the rate moves per epoch or per batch."""

    warmup: int = setting(0, at_least=0, doc="epochs of linear rise before the curve begins")
    start: Union[float, None] = setting(
        None, at_least=0, later=True, doc="rate at which the rise begins; None: peak / (warmup + 1)"
    )
    per: Literal["epoch", "batch"] = setting("epoch", doc="rate changes between epochs, or at every batch")

    def check(self) -> None:
        where = f"{type(self).__name__}.start"
        if self.start is not None and not self.warmup:
            raise SpecError("a start without a warm-up", where=where, do="set warmup= to its epochs")
        if self.start is not None and self.start >= self.peak_rate():
            raise SpecError(f"{self.start:g} is not below the peak {self.peak_rate():g}", where=where)

    def at(self, t: float) -> float:
        return float(self._whole(float(t), _Plain))

    def tensor(self, t: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._whole(tf.cast(t, tf.float32), _Graph), tf.float32)

    def _whole(self, t: Any, ops: Any) -> Any:
        if self.per == "epoch":
            t = ops.floor(t)
        if not self.warmup:
            return self.curve(t, ops)
        rise = self.peak_rate() * (t + 1.0) / (self.warmup + 1.0)
        if self.start is not None:
            rise = self.start + (self.peak_rate() - self.start) * t / float(self.warmup)
        return ops.where(t < self.warmup, rise, self.curve(t, ops))

    @abc.abstractmethod
    def curve(self, t: Any, ops: Any) -> Any:
        """Return the rate at `t` (at or after the warm-up) with the operations `ops`."""

    def least(self) -> int:
        """Return the epochs without which the schedule makes no sense; `refuse` checks them."""
        return self.warmup


@part
class Constant(Curve):
    """The same rate throughout: rate(t) = rate."""

    rate: float = setting(above=0, positional=True, doc="learning rate")

    def curve(self, t: Any, ops: Any) -> Any:
        return self.rate + 0.0 * t

    def peak_rate(self) -> float:
        return self.rate


@part
class Steps(Curve):
    """A rate that is multiplied by `factor` at each of some epochs: peak * factor**n.

    n is how many of `from_epochs` (1-based) have begun; `from_epochs=(21, 31)` with peak 0.1 and factor
    0.1 means 0.1 in epochs 1 to 20, 0.01 in 21 to 30 and 0.001 from 31 on. They are epochs of the
    schedule, a warm-up included.
    """

    peak: float = setting(above=0, doc="learning rate before the first drop")
    factor: float = setting(0.1, above=0, below=1, doc="what each drop multiplies the rate by")
    from_epochs: tuple[int, ...] = setting(at_least=2, doc="1-based epochs from which the lower rate holds")

    def check(self) -> None:
        Curve.check(self)
        if list(self.from_epochs) != sorted(set(self.from_epochs)):
            raise SpecError(
                f"{self.from_epochs} is not ascending", where="Steps.from_epochs", do="sort the epochs"
            )
        if self.from_epochs and self.from_epochs[0] <= self.warmup:
            raise SpecError(
                f"the drop at epoch {self.from_epochs[0]} falls into the warm-up of {self.warmup}",
                where="Steps.from_epochs",
                expected=f"epochs from {self.warmup + 1} on",
            )

    def curve(self, t: Any, ops: Any) -> Any:
        rate = self.peak + 0.0 * t
        for epoch in self.from_epochs:
            rate = ops.where(t >= epoch - 1.0, rate * self.factor, rate)
        return rate

    def peak_rate(self) -> float:
        return self.peak

    def breaks(self, epochs: int) -> tuple[int, ...]:
        return tuple(epoch for epoch in self.from_epochs if epoch <= epochs)


@part
class Exponential(Curve):
    """Exponential decay: max(floor, peak * exp(-rate * max(0, t - warmup - hold))).

    `rate` is the decay per epoch (0.05 takes about 5 % off each epoch); `hold` epochs keep the peak.
    """

    peak: float = setting(above=0, doc="learning rate at the start")
    rate: float = setting(above=0, doc="decay per epoch, in the exponent")
    hold: int = setting(0, at_least=0, doc="epochs at the peak before the decay begins")
    floor: float = setting(0.0, at_least=0, later=True, doc="lowest learning rate")

    def check(self) -> None:
        Curve.check(self)
        if self.floor >= self.peak:
            raise SpecError(f"{self.floor:g} is not below the peak {self.peak:g}", where="Exponential.floor")

    def curve(self, t: Any, ops: Any) -> Any:
        x = t - float(self.warmup + self.hold)
        rate = self.peak * ops.exp(-self.rate * ops.where(x > 0.0, x, 0.0 * x))
        return ops.where(rate > self.floor, rate, self.floor + 0.0 * t) if self.floor else rate

    def peak_rate(self) -> float:
        return self.peak


@part
class InverseTime(Curve):
    """Inverse-time decay: peak / (1 + rate * max(0, t - warmup)); `rate` is per epoch."""

    peak: float = setting(above=0, doc="learning rate at the start")
    rate: float = setting(above=0, doc="decay per epoch")

    def curve(self, t: Any, ops: Any) -> Any:
        x = t - float(self.warmup)
        return self.peak / (1.0 + self.rate * ops.where(x > 0.0, x, 0.0 * x))

    def peak_rate(self) -> float:
        return self.peak


@part
class Cosine(Curve):
    """Cosine annealing with warm restarts (Loshchilov and Hutter 2017, "SGDR", equation 5).

    In cycle i (0, 1, ...) of T_i = cycle * growth**i epochs, x epochs after its start,

        rate = floor + (peak - floor) * decay**i * (1 + cos(pi * x / T_i)) / 2,

    then `cooldown` epochs at the floor before the next cycle starts. With `restarts=False` the rate
    stays at the floor after the first cycle. Cycles begin after the warm-up: cycle 16, growth 2,
    cooldown 1 restarts at the 0-based epochs 17, 50 and 115.
    """

    peak: float = setting(above=0, doc="learning rate at the first cycle's start")
    floor: float = setting(1e-5, at_least=0, doc="lowest learning rate")
    cycle: int = setting(at_least=1, doc="epochs of the first cycle")
    growth: float = setting(2.0, at_least=1, doc="factor from one cycle's length to the next one's")
    decay: float = setting(1.0, above=0, at_most=1, doc="factor from one cycle's height to the next one's")
    cooldown: int = setting(1, at_least=0, doc="epochs at the floor before each restart")
    restarts: bool = setting(True, doc="start again after a cycle, or stay at the floor")

    def check(self) -> None:
        Curve.check(self)
        if self.floor >= self.peak:
            raise SpecError(
                f"{self.floor} is not below the peak {self.peak}",
                where="Cosine.floor",
                expected="a lower rate",
            )

    def starts(self) -> tuple[float, ...]:
        """Return the t at which each cycle starts, up to `HORIZON` epochs."""
        count = None if self.restarts else 1
        return _cycle_starts(self.warmup, self.cycle, self.growth, self.cooldown, count)

    def curve(self, t: Any, ops: Any) -> Any:
        number, start = ops.cycle(self.starts(), t)
        length = self.cycle * self.growth**number
        left = (start + length - t) / length  # 1 - x, of which (1 + cos(pi x)) / 2 is sin(pi left / 2)**2:
        height = (self.peak - self.floor) * self.decay**number  # exact in float32 down to the floor
        wave = self.floor + height * ops.sin(math.pi / 2.0 * left) ** 2
        return ops.where(left > 0.0, wave, self.floor + 0.0 * t)

    def peak_rate(self) -> float:
        return self.peak

    def breaks(self, epochs: int) -> tuple[int, ...]:
        first = math.ceil if self.per == "epoch" else math.floor
        return tuple(epoch for epoch in (first(s) + 1 for s in self.starts()[1:]) if epoch <= epochs)

    def least(self) -> int:
        return self.warmup + self.cycle

    def quick(self) -> Cosine:
        return self.but(cycle=1, warmup=0, start=None, cooldown=0)


@functools.lru_cache(maxsize=64)
def _cycle_starts(
    warmup: int, cycle: int, growth: float, cooldown: int, count: int | None
) -> tuple[float, ...]:
    starts, length = [float(warmup)], float(cycle)
    while starts[-1] < HORIZON and (count is None or len(starts) < count):
        starts.append(starts[-1] + length + cooldown)
        length *= growth
    return tuple(starts)
