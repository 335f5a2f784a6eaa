"""A learning rate that drops when a metric stops improving, as a function of what the run has recorded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

from workbench import names
from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.experiment import Experiment
from workbench.spec.optimization import Schedule
from workbench.spec.part import Inherit, part, setting
from workbench.spec.plan import Plan
from workbench.tracking.rows import EpochRecord


@part
class ReduceLROnPlateau(Schedule):
    """A constant rate that is multiplied by `factor` whenever a metric has stopped improving.

    Keras's callback of that name, exact after a resume: the rate of an epoch follows from the recorded
    values of the epochs before it. An epoch improves where it beats the best so far by more than
    `min_delta`; after `patience` epochs in a row that do not, the rate drops, never below `floor`, and
    `cooldown` epochs pass before epochs without improvement count again. A stage begins with no best
    value, at the rate that the stage before it had.
    """

    lowers: ClassVar[bool] = True

    rate: float = setting(above=0, positional=True, doc="learning rate at the start")
    factor: float = setting(0.1, above=0, below=1, doc="what each drop multiplies the rate by")
    patience: int = setting(10, at_least=1, doc="epochs without improvement before a drop")
    monitor: str = setting("val_loss", doc="metric that is watched")
    min_delta: float = setting(1e-4, at_least=0, doc="least improvement that counts")
    cooldown: int = setting(0, at_least=0, doc="epochs after a drop that do not count")
    floor: float = setting(0.0, at_least=0, doc="lowest learning rate")

    def check(self) -> None:
        if self.floor >= self.rate:
            raise SpecError(
                f"{self.floor:g} is not below the rate {self.rate:g}", where="ReduceLROnPlateau.floor"
            )

    def at(self, t: float) -> float:
        return self.rate

    def tensor(self, t: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.rate, tf.float32)

    def peak_rate(self) -> float:
        return self.rate

    def lowered(self, values: Sequence[Sequence[float]], higher: bool) -> float:
        """Return the rate after the epochs of `values`, a row of measured values a stage.

        `higher` says that high values are good.
        """
        rate = self.rate
        for stage in values:
            best, waited, cooling = math.inf, 0, 0
            for value in stage:
                if cooling:
                    cooling, waited = cooling - 1, 0
                signed = -value if higher else value
                if signed < best - self.min_delta:
                    best, waited = signed, 0
                elif not cooling:
                    waited += 1
                    if waited >= self.patience and rate > self.floor:
                        rate, waited, cooling = max(rate * self.factor, self.floor), 0, self.cooldown
        return rate


def factor(experiment: Experiment, plan: Plan, rows: Iterable[EpochRecord]) -> float:
    """Return what multiplies a stage's rate after the epochs of `rows`, those of the run so far.

    Epochs count from where the schedule began: the stage's own, or for the run's schedule all that moved it.
    """
    schedule, stages, seen = plan.schedule, experiment.stages, list(rows)
    assert isinstance(schedule, ReduceLROnPlateau)
    own = not isinstance(stages[plan.number - 1].learning_rate, Inherit)
    counted = (
        [plan.number]
        if own
        else [
            number
            for number, stage in enumerate(stages[: plan.number], start=1)
            if isinstance(stage.learning_rate, Inherit) and stage.advances_schedule
        ]
    )
    values = [[row.metrics[schedule.monitor] for row in seen if row.stage == number] for number in counted]
    higher = experiment.direction(schedule.monitor) == names.HIGHER
    return schedule.lowered(values, higher) / schedule.rate


def refuse_unmeasured(experiment: Experiment) -> None:
    """Raise `SpecError` for a schedule that watches a metric which its stage does not record."""
    for plan in experiment.plans():
        schedule = plan.schedule
        if not isinstance(schedule, ReduceLROnPlateau):
            continue
        known = measured(experiment, plan)
        if schedule.monitor not in known:
            raise SpecError(
                f"{schedule.monitor!r} is not measured",
                where=f"stage {plan.number} ({plan.name}): learning_rate",
                expected=f"one of {', '.join(known)}",
                do="set monitor=; val_loss needs validation= or hold_out=",
            )


def measured(experiment: Experiment, plan: Plan) -> list[str]:
    """Return the metrics of a stage's epochs that a schedule can watch."""
    own = [names.LOSS, *([names.ACCURACY] if plan.loss.classifier() is not None else [])]
    held = [names.VAL_PREFIX + name for name in own] if plan.data.hold_out or experiment.validation else []
    return [*own, *held, *(pairs.label() for pairs in experiment.sets)]
