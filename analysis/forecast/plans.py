"""What was planned for a run: its last epoch, the first epochs of its stages, its learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import SpecError
from workbench.spec.part import from_json
from workbench.spec.plan import Plan

LAST_STEP = 0.999  # of an epoch: the recorded rate is that of the epoch's last step


@dataclass(frozen=True)
class Planned:
    """`rates` are those of the epochs 1 to `total`; `stages` the first epochs of the stages."""

    total: int
    stages: tuple[int, ...]
    rates: tuple[float, ...]


def planned(plans: Sequence[Plan]) -> Planned:
    """Return the plan of an experiment from its stages (`Experiment.plans()`)."""
    rates = [
        # Not 1.0: at the very end a restarting schedule already gives the next cycle's rate.
        float(plan.schedule.at(plan.schedule_offset + (epoch + LAST_STEP if plan.advances_schedule else 0.0)))
        for plan in plans
        for epoch in range(plan.epochs)
    ]
    return Planned(len(rates), tuple(plan.first_epoch for plan in plans), tuple(rates))


def from_spec(spec: Mapping[str, Any]) -> Planned | None:
    """Return the plan in a recorded spec (canonical JSON); None where there is none that can be read."""
    try:
        experiment = from_json(dict(spec)) if "part" in spec else None
    except (SpecError, TypeError, KeyError):  # a spec of another version says nothing about the future
        return None
    return planned(experiment.plans()) if experiment is not None else None
