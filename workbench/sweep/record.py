"""The sweep's own run: a journal with a row for every ended trial, and MLflow's parent of the trials."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from workbench import names
from workbench.sweep.trials import TrialRunner
from workbench.tracking import provenance
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import CheckpointRecord, EpochRecord, StartRecord
from workbench.tracking.sweeps import STATE
from workbench.tracking.tracker import Tracker
from workbench.views.mlflow import MlflowView

TRIAL = "trial"  # the number of the trial that a row tells of
FAILED_TRIALS = "failed_trials"  # so many until then


class SweepRecorder:
    """Records the sweep itself: an "epoch" is an ended trial, its metric the trial's result."""

    def __init__(self, runner: TrialRunner, planned: int, say: Callable[[str], None]) -> None:
        path = runner.store.journal(runner.run)
        journal = read_journal(path) if path.exists() else None
        rows = journal.accepted() if journal else []
        self._recorded = {int(row.metrics[TRIAL]) for row in rows}
        self._failed = int(rows[-1].metrics.get(FAILED_TRIALS, 0)) if rows else 0
        self._target = runner.sweep.target
        start = _start(runner, planned, len(rows) + 1)
        view = MlflowView(runner.store)  # no session in TensorBoard: it would stand among the trials
        self.tracker = Tracker.open(runner.store, start, say=say, views=[view])

    def ended(self, trial: str, result: Mapping[str, Any]) -> None:
        """Add the row of an ended trial, once."""
        if int(trial) in self._recorded:
            return  # every start goes through all ended trials, for rows that a kill left out
        self._recorded.add(int(trial))
        count = len(self._recorded)
        metrics = {TRIAL: float(int(trial))}
        if result["value"] is None:
            self._failed += 1
        else:
            metrics[self._target] = result["value"]
            if len(result["values"]) > 1:
                metrics[f"{self._target}_std"] = statistics.stdev(result["values"])
        metrics[FAILED_TRIALS] = float(self._failed)
        seconds = result["seconds"]
        self.tracker.epoch(
            EpochRecord(stage=1, stage_epoch=count, epoch=count, step=count, metrics=metrics, seconds=seconds)
        )
        # The search saved its state before it came here: as with a run's checkpoint, views may show the row.
        self.tracker.checkpoint(CheckpointRecord(epoch=count, file=STATE, digest="", step=count))

    def end(self, status: str, reason: str) -> None:
        """Record how the sweep ended."""
        self.tracker.end(status, reason)
        self.tracker.close()


def _start(runner: TrialRunner, planned: int, row: int) -> StartRecord:
    sweep = runner.sweep
    found = provenance.collect(runner.variant.path or None, runner.store.root.parent)
    parameters: dict[str, Any] = {
        "sweep.tuner": type(sweep.tuner).__name__,
        "sweep.objective": sweep.target,
        "sweep.executions": sweep.executions,
        "sweep.settings": ", ".join(sweep.domains),
    }
    parameters |= {
        f"sweep.tuner.{name}": value
        for name, value in sweep.tuner.settings().items()
        if isinstance(value, (int, float, str))
    }
    return StartRecord(
        run=runner.run,
        from_epoch=row,
        study=runner.variant.study,
        name=runner.name,
        seed=sweep.base.seed,
        quick=runner.variant.quick,
        stages=({"number": 1, "name": "trials", "epochs": planned, "first_epoch": 1},),
        parameters=parameters,
        host=found.host,
        process=found.process,
        versions=found.versions,
        tags={names.TAG_KIND: names.SWEEP, names.TAG_OBJECTIVE: sweep.target},
        provenance={**found.facts, "question": runner.variant.question, "spec_path": runner.variant.path},
    )
