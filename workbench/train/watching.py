"""The watchers of a spec at work: what they see of a run, what they record, and whether they ask for a stop."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.spec.plan import Plan
from workbench.spec.watchers import Watcher
from workbench.tracking.history import history
from workbench.train import request

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment
    from workbench.tracking.tracker import Tracker


class WatcherLook:
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
        self.stop_reason: str | None = None
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
        self.stop_reason = self.stop_reason or reason


class Watchers:
    """All who look on at a run's epochs: the spec's watchers, then the forecast that the command line asked for.

    What the spec's watchers record at a stage's begin waits for its first epoch.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        forecast: request.EpochCallback | None,
        tracker: Tracker,
        experiment: Experiment,
    ) -> None:
        self.watchers, self.forecast = watchers, forecast
        self.tracker, self.experiment = tracker, experiment
        self._waiting: dict[str, float] = {}

    def stage(self, plan: Plan, model: Any) -> None:
        """Tell the watchers that a stage begins."""
        if not self.watchers:
            return
        epoch, epochs = plan.first_epoch - 1, self.experiment.epochs
        look = WatcherLook(self.tracker, plan, epoch, epochs, {}, self._history({}), model)
        for watcher in self.watchers:
            watcher.on_stage(look)
        self._waiting = look.recorded

    def epoch(
        self, plan: Plan, epoch: int, metrics: dict[str, float], model: Any
    ) -> tuple[dict[str, float], str | None]:
        """Return an epoch's metrics with those of the watchers, and the reason to stop that one of them gives."""
        # The history is read again from the rows only where somebody looks at it.
        if not self.watchers and self.forecast is None:
            return metrics, None
        past = self._history(metrics)
        look = WatcherLook(self.tracker, plan, epoch, self.experiment.epochs, metrics, past, model)
        look.record(**self._waiting)
        self._waiting = {}
        for watcher in self.watchers:
            watcher.on_epoch(look)
        metrics = {**metrics, **look.recorded}
        if self.forecast is None:
            return metrics, look.stop_reason
        plans = self.experiment.plans()
        facts = {"epoch": epoch, "epochs": self.experiment.epochs, "plan": plan, "plans": plans}
        extra, reason = self.forecast.epoch(past, facts)
        return {**metrics, **extra}, reason or look.stop_reason

    def _history(self, metrics: Mapping[str, float]) -> dict[str, list[float]]:
        """Return the values so far by metric, those of the epoch whose row is not written yet included."""
        found = history(self.tracker.history())
        for name, value in metrics.items():
            found.setdefault(name, []).append(value)
        return found
