"""The watchers of a spec at work: what they see of a run, what they record, and their wish for an end."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.spec.plan import Plan
from workbench.spec.watchers import Watcher

if TYPE_CHECKING:
    from workbench.tracking.tracker import Tracker


class Sight:
    """What one moment of a run looks like to its watchers (`Look` of the spec)."""

    def __init__(
        self,
        tracker: Tracker,
        plan: Plan,
        epoch: int,
        epochs: int,
        metrics: Mapping[str, float],
        history: Mapping[str, list[float]],
        model: Any,
    ) -> None:
        self.epoch, self.epochs, self.stage, self.stage_name = epoch, epochs, plan.number, plan.name
        self.metrics, self.history, self.model = metrics, history, model
        self.recorded: dict[str, float] = {}
        self.wish: str | None = None
        self._tracker = tracker

    def record(self, **values: float) -> None:
        for name, value in values.items():
            if name in self.metrics:
                raise InputError(
                    f"{name!r} is measured by the run itself", where="record", do="choose another name"
                )
            self.recorded[name] = float(value)

    def figure(self, name: str, figure: Any) -> None:
        if not re.fullmatch(r"[\w.-]+", name):
            raise InputError(
                f"no figure can be called {name!r}", expected="letters, digits, `-`, `_` and `.`"
            )
        image = io.BytesIO()
        figure.savefig(image, format="png", bbox_inches="tight")
        self._tracker.artifact(f"figures/{name}-e{self.epoch:04d}.png", text=image.getvalue())

    def stop(self, reason: str) -> None:
        self.wish = self.wish or reason


class Watchers:
    """The watchers of one run; what they record at a stage's begin waits for its first epoch."""

    def __init__(self, watchers: Sequence[Watcher], tracker: Tracker, epochs: int) -> None:
        self.watchers, self.tracker, self.epochs = watchers, tracker, epochs
        self._waiting: dict[str, float] = {}

    def stage(self, plan: Plan, history: Mapping[str, list[float]], model: Any) -> None:
        """Tell the watchers that a stage begins."""
        if not self.watchers:
            return
        sight = Sight(self.tracker, plan, plan.first_epoch - 1, self.epochs, {}, history, model)
        for watcher in self.watchers:
            watcher.on_stage(sight)
        self._waiting = sight.recorded

    def epoch(
        self,
        plan: Plan,
        epoch: int,
        metrics: Mapping[str, float],
        history: Mapping[str, list[float]],
        model: Any,
    ) -> tuple[dict[str, float], str | None]:
        """Return what the watchers record with an epoch, and the reason to stop that one of them gives."""
        if not self.watchers:
            return {}, None
        sight = Sight(self.tracker, plan, epoch, self.epochs, metrics, history, model)
        sight.record(**self._waiting)
        self._waiting = {}
        for watcher in self.watchers:
            watcher.on_epoch(sight)
        return sight.recorded, sight.wish
