"""What a run has scored: measures at evaluations, the best so far, and the pair scores behind them.

Best-so-far belongs to the run, not to a stage or an attempt: it goes into every checkpoint and comes
back with it, so that no later epoch can pass for the best one by having been forgotten.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import names

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment
    from workbench.spec.plan import Plan
    from workbench.tracking.tracker import Tracker
    from workbench.train.progress import Screen
    from workbench.train.run_data import RunData
    from workbench.train.trainer import Trainer


class Scoreboard:
    """Measures of one run, its best value by the selecting metric, and peaks within the current epoch."""

    def __init__(self, experiment: Experiment, data: RunData, tracker: Tracker, screen: Screen) -> None:
        self.experiment = experiment
        self.selector = experiment.selector()
        self.side = experiment.direction(self.selector)
        self.data, self.tracker, self.screen = data, tracker, screen
        self.best: dict[str, Any] | None = None  # by the selecting metric
        self.inside: dict[str, float] = {}  # best values found within the current epoch
        self._scores: dict[str, np.ndarray] = {}  # of the epoch's evaluation, by set

    def take_up(self, facts: Mapping[str, Any]) -> None:
        """Go on from the facts of a checkpoint."""
        self.best, self.inside = facts["best"], dict(facts["inside"])

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {"best": self.best, "inside": self.inside}

    def hold_out(self, trainer: Trainer, plan: Plan) -> dict[str, float]:
        """Return `val_*` over the validation set, or the images that the source keeps back; nothing without."""
        batches = self.data.hold_out(plan)
        return trainer.measure(batches) if batches is not None else {}

    def evaluate(self, embedder: Any) -> dict[str, float]:
        """Return the measures of all evaluation sets."""
        found: dict[str, float] = {}
        for evaluator in self.data.evaluators:
            result = evaluator.evaluate(embedder)
            if result.message:
                self.screen.warn(f"{evaluator.name}: {result.message}")
            found.update(result.metrics)
            self._scores[evaluator.name] = result.scores
        return found

    def note_inside(self, values: Mapping[str, float]) -> None:
        """Keep the peaks of an evaluation within an epoch."""
        for name, value in values.items():
            # A peak of a threshold or of a spread means nothing: only the measure itself is kept.
            if not name.endswith(names.DERIVED_SUFFIXES):
                self._note(name, value)

    def _note(self, name: str, value: float) -> None:
        # The lowest of an error, the highest of an accuracy: a spec's own measure may be either.
        side = self.experiment.direction(name)
        if (
            side is not None
            and np.isfinite(value)
            and names.is_better(name, value, self.inside.get(name), side)
        ):
            self.inside[name] = value

    def peaks(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the epoch's peaks, its end included, and begin the next epoch without any."""
        for name in self.inside:
            self._note(name, values.get(name, np.nan))
        found = {name + names.PEAK_SUFFIX: value for name, value in self.inside.items()}
        self.inside = {}
        return found

    def improves(self, metrics: Mapping[str, float], epoch: int, step: int) -> bool:
        """Note and tell whether the selecting metric is the best of the whole run; NaN never is."""
        name = self.selector
        value = metrics.get(name)
        if value is None or not np.isfinite(value):
            return False
        known = None if self.best is None else self.best["value"]
        if not names.is_better(name, value, known, self.side):
            return False
        self.best = {"metric": name, "value": value, "epoch": epoch, "step": step}
        return True

    def keep_scores(self, best: bool, epoch: int) -> None:
        """Keep the per-pair scores of the last and of the best epoch beside the run, compactly."""
        for evaluator in self.data.evaluators:
            name, packed = evaluator.name, io.BytesIO()
            # An own evaluation may give numbers without pairs.
            if name not in self._scores or not len(self._scores[name]):
                continue
            np.savez_compressed(
                packed,
                # float32, compressed: 6,000 pairs of a set at each best epoch must not outgrow the checkpoints.
                scores=np.asarray(self._scores[name], np.float32),
                same=evaluator.same,
                pairs=evaluator.fingerprint,
                epoch=epoch,
            )
            for which in ("last", *(("best",) if best else ())):
                self.tracker.artifact(f"scores/{which}/{name}.npz", text=packed.getvalue())
