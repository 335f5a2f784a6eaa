"""What the runner is asked to do and what it answers: plain values, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.spec.variant import Variant
from workbench.tracking.store import Store

PAUSED = "paused after epoch"  # how the reason begins where a run stopped at `RunRequest.epochs`


class EpochCallback(Protocol):
    """What may look on at each epoch, add metrics and ask for an end (a forecast, a tuner)."""

    def epoch(
        self, history: Mapping[str, list[float]], facts: Mapping[str, Any]
    ) -> tuple[dict[str, float], str | None]:
        """Return metrics to record with the epoch, and the reason to stop the run or None."""


@dataclass(frozen=True)
class RunRequest:
    """What to run and where to record it. `resume` goes on with a run that has a journal."""

    variant: Variant
    store: Store
    run: str
    resume: bool = False
    steps: int | None = None  # at most so many steps an epoch (`--quick`)
    tags: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parent: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)  # recorded beside the experiment's own
    shared: bool = False  # the trunk of branches, shorter than its schedule may mean it to be
    from_start: bool = False  # a resume that may train again from epoch 1
    epochs: int | None = None  # stop gently after this global epoch (a tuner's rung)


@dataclass(frozen=True)
class RunResult:
    """How a run ended: its name, status and the best value of each metric with epoch and stage."""

    run: str
    status: str
    best: Mapping[str, Mapping[str, float]]
    reason: str = ""


class StopTraining(Exception):
    """Ends training between two steps, with the status and reason to record; `by_user` if Ctrl-C asked for it."""

    def __init__(self, status: str, reason: str, by_user: bool = False) -> None:
        super().__init__(reason)
        self.status, self.reason, self.by_user = status, reason, by_user
