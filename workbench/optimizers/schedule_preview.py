"""What the learning rate of a spec will be, epoch by epoch, before anything is trained.

Pure functions of the stages' plans: the check of a schedule against the stages it runs through, and a
picture of the whole run for the terminal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.errors import SpecError
from workbench.optimizers.schedules import Cosine, Curve
from workbench.spec.plan import Plan

BARS = " ▁▂▃▄▅▆▇█"


def refuse(plans: Sequence[Plan], shared: int = 0) -> None:
    """Raise `SpecError` for a warm-up longer than its stage and for a first cycle that never ends.

    A branch, whose first `shared` stages are its trunk's, leaves the trunk's schedule where it means to, inside
    the first cycle too: only what begins in its own stages is judged.
    """
    begun = [plan.schedule for plan in plans[:shared]]
    for plan in plans[shared:]:
        if not isinstance(plan.schedule, Curve) or any(plan.schedule is other for other in begun):
            continue
        where = f"stage {plan.number} ({plan.name})"
        _refuse_warmup(plan, plan.schedule, where)
        reached = max(_end(other) for other in plans if other.schedule is plan.schedule)
        if isinstance(plan.schedule, Cosine) and plan.schedule.least() > reached:
            warm = f" after {plan.schedule.warmup} of warm-up" if plan.schedule.warmup else ""
            raise SpecError(
                f"the first cycle of {plan.schedule.cycle} epochs{warm} is longer than the {reached:g} epochs "
                "that the schedule runs for",
                where=f"{where}: learning_rate",
                do="shorten cycle or lengthen the stages",
            )


def _refuse_warmup(plan: Plan, schedule: Curve, where: str) -> None:
    if plan.advances_schedule and plan.schedule_offset < schedule.warmup and _end(plan) < schedule.warmup:
        raise SpecError(
            f"a warm-up of {schedule.warmup} epochs is longer than the stage of {plan.epochs}",
            where=f"{where}: learning_rate",
            do="shorten warmup or lengthen the stage",
        )


def _end(plan: Plan) -> float:
    return plan.schedule_offset + (plan.epochs if plan.advances_schedule else 0)


def rate_at(plan: Plan, done: float) -> float:
    """Return the rate after `done` epochs (float) of the stage."""
    return plan.schedule.at(plan.schedule_offset + (done if plan.advances_schedule else 0.0))


def recorded(plan: Plan, steps_per_epoch: int) -> list[float]:
    """Return the `lr` that each epoch of the stage will record: that of its last step."""
    last = 1.0 - 1.0 / steps_per_epoch
    return [rate_at(plan, epoch + last) for epoch in range(plan.epochs)]


def picture(plans: Sequence[Plan], width: int = 64, height: int = 6) -> list[str]:
    """Return the run's learning rate as lines of text: a logarithmic axis, stage starts marked below."""
    epochs = plans[-1].last_epoch
    width = min(width, 8 * epochs)
    rates = [_rate_in_run(plans, (column + 0.5) * epochs / width) for column in range(width)]
    top, bottom = max(rates), min(rate for rate in rates if rate > 0) if max(rates) > 0 else 0.0
    if not top or math.isclose(top, bottom, rel_tol=1e-6):
        return [f"learning rate {top:.4g} throughout {epochs} epochs"]
    heights = [_bar(rate, bottom, top, height) for rate in rates]
    label = max(len("epoch"), len(f"{top:.3g}"), len(f"{bottom:.3g}"))
    lines = []
    for row in reversed(range(height)):
        text = {height - 1: f"{top:.3g}", 0: f"{bottom:.3g}"}.get(row, "")
        cells = "".join(BARS[min(max(h - 8 * row, 0), 8)] for h in heights)
        lines.append(f"{text:>{label}} ┤{cells}".rstrip())
    return [*lines, *_axis(plans, width, label)]


def _rate_in_run(plans: Sequence[Plan], done: float) -> float:
    plan = next(plan for plan in plans if done < plan.last_epoch)
    return rate_at(plan, done - plan.first_epoch + 1)


def _bar(rate: float, bottom: float, top: float, height: int) -> int:
    """Return the eighths of a cell that a rate is high; the lowest rate still shows one."""
    share = (math.log(max(rate, bottom)) - math.log(bottom)) / (math.log(top) - math.log(bottom))
    return 1 + round(share * (8 * height - 1))


def _axis(plans: Sequence[Plan], width: int, label: int) -> list[str]:
    """Return the line with a tick at each stage's start and the line with their 1-based epochs."""
    epochs = plans[-1].last_epoch
    ticks = {int((plan.first_epoch - 1) * width / epochs): str(plan.first_epoch) for plan in plans}
    line = "".join("┬" if column in ticks else "─" for column in range(width))
    words, end = "", -1
    for column, text in sorted(ticks.items()):
        if column > end:
            words = words.ljust(column) + text
            end = column + len(text)
    last = str(epochs)
    if len(words) + 1 + len(last) <= width:
        words = words.ljust(width - len(last)) + last
    return [f"{'':>{label}} └{line}", f"{'epoch':>{label}}  {words}"]
