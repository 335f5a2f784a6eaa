"""A trial as ordinary runs: begun, continued or found done, and judged by their journals alone.

Running a trial is idempotent: whatever a kill left of its runs, calling `TrialRunner.run` again takes up
each of them from its last checkpoint and leaves alone what is done.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench import names
from workbench.errors import InputError, RecordError, RunFailed, RunStopped
from workbench.files import write_json
from workbench.lazy import tf
from workbench.security.masking import mask
from workbench.spec.datasets import default_places
from workbench.spec.quick import QUICK_STEPS, quick_variant
from workbench.spec.variant import Variant
from workbench.sweep.keras_space import domains_of, extra_parameters
from workbench.sweep.spec import Sweep
from workbench.tracking.journal import read_journal, wait_for_lock
from workbench.tracking.store import Store
from workbench.tracking.sweeps import TrialRequest, folder, read_json
from workbench.train.progress import Screen
from workbench.train.request import PAUSED, RunRequest

LOCK_SECONDS = 60.0  # a worker before us may still be saving: its grace is 30 s by default


class TrialScreen(Screen):
    """What of a trial's run is shown: warnings, under the trial's name; epochs only where wanted."""

    def __init__(self, screen: Screen, name: str, verbose: bool) -> None:
        super().__init__(screen.stream)
        self._screen, self._name, self._verbose = screen, name, verbose

    def say(self, text: str) -> None:
        if self._verbose:
            self._screen.say(f"{self._name}: {text}")

    def warn(self, text: str) -> None:
        self._screen.say(f"{self._name}: note: {text}")


@dataclass(frozen=True)
class TrialRunner:
    """What it takes to run the trials of one sweep: `run` is the sweep's own run, `variant` its base."""

    sweep: Sweep
    name: str
    run: str
    variant: Variant
    store: Store
    screen: Screen
    verbose: bool = False

    @functools.cached_property
    def domains(self) -> dict[str, dict[str, Any]]:
        """The values that parameters may take in the sweep."""
        return domains_of(self.sweep)

    # ------------------------------------------------------------ running

    def train(self, trial: str, values: Mapping[str, Any]) -> None:
        """Bring every run of a trial to its epochs; raises `RunStopped` where somebody asked for an end.

        A run that fails ends the trial: its reason is in its journal, or in a note where it has none.
        """
        if self._noted(trial):
            return
        try:
            for number in range(len(TrialRequest.of(values).runs)):
                self._train_run(trial, values, number)
        except RunFailed:
            return
        except InputError as error:
            self.note(trial, str(error))

    def _train_run(self, trial: str, values: Mapping[str, Any], number: int) -> None:
        """Bring one run of a trial (counted from 0) to its epochs, from wherever a kill left it."""
        from workbench.train.runner import run

        request = TrialRequest.of(values)
        path = self.store.journal(request.runs[number])
        # A worker that was asked to stop may still be saving it.
        if not wait_for_lock(path, LOCK_SECONDS):
            raise RecordError(
                "another process is writing this run", where=request.runs[number], do="stop it first"
            )
        # The journal decides, not the tuner's state, which a kill may have left behind it.
        journal = read_journal(path) if path.exists() else None
        end, rows = (journal.end, journal.accepted()) if journal else (None, [])
        if end and end.status == names.FAILED:
            raise RunFailed(end.reason)
        if end and (end.status == names.FINISHED or (rows and rows[-1].epoch >= request.epochs)):
            return
        todo = self._run_request(trial, values, number, resume=journal is not None)
        try:
            run(todo, TrialScreen(self.screen, todo.variant.name, self.verbose))
        except RunStopped as stop:
            if not str(stop).startswith(PAUSED):  # paused at its last epoch, as asked, it is done
                raise
        finally:
            # Keras keeps every model of a process: without this a thousand trials would not fit into one.
            tf.keras.backend.clear_session()
            gc.collect()

    def _run_request(self, trial: str, values: Mapping[str, Any], number: int, resume: bool) -> RunRequest:
        request = TrialRequest.of(values)
        variant = self.trial_variant(request, number)
        return RunRequest(
            variant,
            self.store,
            request.runs[number],
            resume=resume,
            parent=self.run,
            epochs=request.epochs if request.epochs < variant.experiment.epochs else None,
            steps=QUICK_STEPS if variant.quick else None,
            domains=self.domains,
            parameters=extra_parameters(self.sweep, request.settings, variant.experiment),
            tags={
                names.TAG_SWEEP: self.name,
                names.TAG_TRIAL: trial,
                names.TAG_OBJECTIVE: self.sweep.target,
                names.TAG_ORDER: json.dumps(dict(values)),
            },
        )

    def trial_variant(self, request: TrialRequest, number: int = 0) -> Variant:
        """Return the named experiment of one execution of a trial (counted from 0)."""
        experiment = self.sweep.experiment(request.settings)
        seeded = experiment.but(seed=experiment.seed + number)
        changed = dict.fromkeys(request.settings, "sweep")
        variant = replace(
            self.variant,
            name=f"{self.name}-{request.chain}",
            experiment=seeded,
            overrides={**self.variant.overrides, **changed},
            quick=False,
        )
        where = default_places(self.store.root.parent)
        return quick_variant(variant, where) if self.variant.quick else variant

    # ------------------------------------------------------------ judging

    def judge(self, trial: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a trial came to: `value` (mean over its runs; None where it failed), `values`,
        `epoch` of the first run's best, `seconds` of training and the `reason` of a failure.

        Only epochs up to the trial's own count, however far a later promotion went.
        """
        request = TrialRequest.of(values)
        found, epochs, seconds, reason = [], [], 0.0, self._noted(trial)
        for run in request.runs:
            path = self.store.journal(run)
            if reason or not path.exists():
                reason = reason or "its run left no record here: do the workers share the store?"
                break
            journal = read_journal(path)
            # A later promotion has gone on with the same run: what it reached is not this trial's.
            rows = [row for row in journal.accepted() if row.epoch <= request.epochs]
            seconds += sum(row.seconds for row in rows)
            value, epoch = best_of(rows, self.sweep.target, self.sweep.lower)
            reason = _complaint(journal, rows, value, request.epochs, self.sweep.target)
            found.append(value)
            epochs.append(epoch)
        done = not reason and len(found) == len(request.runs)
        return {
            "value": sum(found) / len(found) if done else None,
            "values": found if done else [],
            "epoch": epochs[0] if done else 0,
            "seconds": round(seconds, 3),
            "reason": reason,
        }

    def note(self, trial: str, reason: str) -> None:
        """Keep why a trial failed where no run of it can say so."""
        # Durably: after a kill the trial would be begun again, and again kill its worker.
        write_json(
            folder(self.store, self.run) / f"trial-{trial}.json", {"reason": mask(reason)}, durable=True
        )

    def _noted(self, trial: str) -> str:
        path = folder(self.store, self.run) / f"trial-{trial}.json"
        return str(read_json(path).get("reason", "")) if path.exists() else ""


def best_of(rows: list[Any], metric: str, lower: bool) -> tuple[float, int]:
    """Return the first best finite value of a metric and its epoch; NaN and 0 where there is none."""
    best, epoch = None, 0
    for row in rows:
        value = row.metrics.get(metric, math.nan)
        if math.isfinite(value) and names.is_better(
            metric, value, best, names.LOWER if lower else names.HIGHER
        ):
            best, epoch = float(value), row.epoch
    return math.nan if best is None else best, epoch


def _complaint(journal: Any, rows: list[Any], value: float, epochs: int, metric: str) -> str:
    """Return why a run does not count, "" where it does."""
    end = journal.end
    if end is not None and end.status == names.FAILED:
        return end.reason or "failed"
    if not rows or (rows[-1].epoch < epochs and not (end and end.status == names.FINISHED)):
        return f"ended after epoch {rows[-1].epoch if rows else 0} of {epochs}"
    if not math.isnan(value):
        return ""
    known = ", ".join(sorted(rows[-1].metrics))
    never = metric not in {name for row in rows for name in row.metrics}
    return f"its runs record no {metric}; they record {known}" if never else f"{metric} is never finite"


@contextlib.contextmanager
def sparing_libraries() -> Iterator[None]:
    """Leave what is there by now out of the collections after each trial.

    Half a million objects, TensorFlow's above all, none of them garbage: looking through them took 0.3 s a trial.
    Afterwards they are looked through as before, since in a notebook models of the user's own are among them.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
