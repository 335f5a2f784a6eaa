"""The search of one sweep: started or resumed, its state kept, its trials counted and reported."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import names
from workbench.errors import RecordError, SpecError
from workbench.files import write_json
from workbench.lazy import keras_tuner
from workbench.security.masking import masked
from workbench.spec.labels import short_names
from workbench.spec.part import to_json
from workbench.spec.variant import Variant
from workbench.sweep.keras_space import base_values, combinations, conditions, declared
from workbench.sweep.record import SweepRecorder
from workbench.sweep.spec import Sweep, changes
from workbench.sweep.summary import shown
from workbench.sweep.trials import TrialRunner, sparing_libraries
from workbench.sweep.tuners import GridSearch
from workbench.tracking import sweeps
from workbench.tracking.journal import is_locked
from workbench.tracking.locks import Held, lock
from workbench.tracking.rows import new_run_name
from workbench.tracking.store import Store
from workbench.tracking.sweeps import TrialRequest
from workbench.train.progress import duration

if TYPE_CHECKING:
    from workbench.sweep.oracles import ResumableOracle

VERSION = 1
IDLE_SECONDS = 0.2  # until a worker asks again, where the next trial hangs on one that is at work
EXTENDING = ("max_trials", "hyperband_iterations", "num_initial_points")  # may grow when a sweep goes on


class Search:
    """The tuner at work for a sweep, and the host that keeps its state: see `oracles.OracleHost`."""

    def __init__(self, runner: TrialRunner, limit: int | None, say: Callable[[str], None]) -> None:
        self.runner, self.say = runner, say
        sweep = runner.sweep
        self.limit = min(filter(None, (limit, getattr(sweep.tuner, "max_trials", None))), default=None)
        self.max_failed = sweep.max_failed
        self.place = sweeps.folder(runner.store, runner.run)
        space = declared(sweep, keras_tuner.HyperParameters())
        self._space = space
        self.whole = runner.trial_variant(TrialRequest({}, (), 0, "0000")).experiment.epochs
        known = sweep.combinations
        # Ranges at the places that Keras Tuner takes.
        if isinstance(sweep.tuner, GridSearch) and known is None:
            known = math.prod(len(list(hp.values)) for hp in space.space)
        trials, epochs = sweep.tuner.planned(self.whole, known)
        self.planned = min(trials, self.limit or trials)
        self.planned_epochs = epochs * self.planned / max(1, trials)
        self.oracle: ResumableOracle = sweep.tuner.oracle(
            objective=keras_tuner.Objective(sweep.target, "min" if sweep.lower else "max"),
            hyperparameters=space,
            seed=sweep.seed + 1,  # Keras Tuner takes 0 for none, and draws one
        )
        self.oracle.attach(self)
        # Before the sweep's own record is opened: a state that cannot be read must not leave an attempt behind.
        self._take_up()
        self.parent = SweepRecorder(runner, self.planned, say)
        for trial in self.oracle.end_order:  # rows that a kill left out
            self.parent.ended(trial, self.oracle.results[trial])
        self._began, self._new_epochs = time.monotonic(), 0

    def _take_up(self) -> None:
        path = self.place / sweeps.STATE
        if path.exists():
            state = sweeps.read_json(path)
            for row in state["trials"]:  # workers take requests of the present spec only
                request = replace(TrialRequest.of(row["values"]), spec=self.runner.sweep.id)
                row["values"][sweeps.REQUEST] = request.text()
            self.oracle.take_up(state)
            return
        from workbench.sweep.recovery import rows_of

        rows = rows_of(self.runner)
        if rows:
            self.say(f"note: {path} is missing: made anew from the journals of {len(rows)} trials")
            self.oracle.recover(rows)
            self.oracle.save()  # even where nothing is left to do

    # ------------------------------------------------------------ the host

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep the tuner's state durably."""
        write_json(self.place / sweeps.STATE, state, durable=True)

    def request(self, trial: str, values: Mapping[str, Any]) -> str:
        """Return the request of a new trial; a promotion goes on with the runs of what it promotes."""
        epochs = self.runner.sweep.tuner.epochs(values, self.whole)
        if sweeps.REQUEST in values:
            before = TrialRequest.of(values)
            return replace(before, epochs=epochs).text()
        settings = {name: values[name] for name in self.runner.sweep.domains if name in values}
        runs = tuple(new_run_name() for _ in range(self.runner.sweep.executions))
        return TrialRequest(settings, runs, epochs, trial, self.runner.run, self.runner.sweep.id).text()

    def judge(self, trial: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of an ended trial."""
        return self.runner.judge(trial, values)

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Return the combinations of a grid, in order."""
        return combinations(self.runner.sweep, self._space)

    def ended(self, trial: str, values: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Record and show an ended trial."""
        self.parent.ended(trial, result)
        self._new_epochs += _own_epochs(values)
        self.say(self._line(trial, values, result))

    # ------------------------------------------------------------ what is shown

    def _line(self, trial: str, values: Mapping[str, Any], result: Mapping[str, Any]) -> str:
        request, target = TrialRequest.of(values), self.runner.sweep.target
        words = [f"trial {trial}", f"{len(self.oracle.end_order)}/{self.planned}"]
        words.append(self.settings_text(request))
        if request.chain != trial:
            words.append(f"goes on from {request.chain} to epoch {request.epochs}")
        if result["value"] is None:
            words.append(f"failed: {result['reason']}")
        else:
            spread = f" ± {statistics.stdev(result['values']):.4f}" if len(result["values"]) > 1 else ""
            words.append(f"{target} {result['value']:.4f}{spread} @{result['epoch']}")
        best = self.best()
        if best:
            words.append(f"best {best['score']:.4f} ({best['id']})")
        left = self.seconds_left()
        return "  ".join([*words, duration(result["seconds"]), *([f"{duration(left)} left"] if left else [])])

    def settings_text(self, request: TrialRequest) -> str:
        """Return a trial's settings as `weight_decay=0.0001 dropout=0`, names as short as is clear."""
        domains = self.runner.sweep.domains
        short = short_names(request.settings, domains)
        return " ".join(
            f"{short[name]}={shown(domains[name].decode(raw))}" for name, raw in request.settings.items()
        )

    def best(self) -> dict[str, Any] | None:
        """Return number and score of the best trial so far, the earliest of equals."""
        done = [t for t in self.oracle.trials.values() if t.status == "COMPLETED"]
        lower = self.runner.sweep.lower
        found = min(done, key=lambda t: (names.badness(t.score, lower), t.trial_id), default=None)
        return {"id": found.trial_id, "score": found.score} if found else None

    def seconds_left(self) -> float:
        """Return about how long the rest will take, by the epochs done since the start; 0 for unknown."""
        ended = (self.oracle.trials[trial].hyperparameters.values for trial in self.oracle.end_order)
        done = sum(map(_own_epochs, ended))
        left = max(0.0, self.planned_epochs - done)
        return (time.monotonic() - self._began) * left / self._new_epochs if self._new_epochs else 0.0

    def given_up(self) -> str:
        """Return why the search ended before its time, "" if it did not."""
        count = self.oracle.failures()
        ended = self.oracle.end_order
        if count >= self.max_failed:
            return f"{count} trials failed in a row, the last: {self.oracle.results[ended[-1]]['reason']}"
        if ended and self.best() is None:
            return f"no trial succeeded, the last: {self.oracle.results[ended[-1]]['reason']}"
        return ""


def _own_epochs(values: Mapping[str, Any]) -> int:
    """Return how many epochs a trial trains itself, beyond those of the one that it goes on from."""
    return max(0, TrialRequest.of(values).epochs - int(values.get("tuner/initial_epoch", 0)))


# ---------------------------------------------------------------- begin or go on


def sweep_name(sweep: Sweep, study: str) -> str:
    """Return what a sweep is called."""
    return sweep.name or study


def refuse_secrets(sweep: Sweep) -> None:
    """Raise `SpecError` where the space holds a secret: its values are kept, so that a sweep can go on."""
    for name, domain in sweep.space:
        values = domain.candidates()
        if masked({name: list(values)}) != {name: list(values)}:
            raise SpecError(
                "holds a secret among its values, which a sweep has to keep",
                where=f"Sweep.space[{name!r}]",
                do="read it in the spec where it is used, such as from an environment variable, and vary something else",
            )


def choose_run(
    sweep: Sweep, variant: Variant, store: Store, resume: bool, allow_changed: bool
) -> tuple[str, bool]:
    """Return the sweep's run, and whether it goes on with an old one.

    Raises `RecordError` where that is at work, or was of another space and that is not allowed.
    """
    name = sweep_name(sweep, variant.study)
    old = sweeps.newest(store, variant.study, name) if resume else None
    if old is None:
        return new_run_name(), False
    if is_locked(store.journal(old.run)):
        raise RecordError("is still running", where=f"sweep {name}", do="wait for it, or stop it first")
    said = changes(_compared(old.facts["sweep"]), _compared(masked(to_json(sweep))))
    if bool(old.facts.get("quick")) != variant.quick:
        raise RecordError("was begun with other --quick", where=f"sweep {name}", do="give the same")
    if said and not allow_changed:
        raise RecordError(
            f"the sweep changed since {old.run}: {'; '.join(said)}",
            where=f"sweep {name}",
            do="resume it with --allow-changed-space, or begin anew without --resume",
        )
    return old.run, True


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sweep's JSON without what may differ between its attempts."""
    # Names, devices and limits change no trial that was done; nor do those of the tuner that only make a search longer.
    found = {name: value for name, value in facts.items() if name not in ("name", "max_failed")}
    found["tuner"] = {name: value for name, value in found["tuner"].items() if name not in EXTENDING}
    base = {name: value for name, value in found["base"].items() if name not in ("safety", "devices", "name")}
    return {**found, "base": base}


@contextmanager
def locked(runner: TrialRunner) -> Iterator[Path]:
    """Hold a sweep's folder against a second search of it; write what is searched if it is new."""
    place = sweeps.folder(runner.store, runner.run)
    try:
        with lock(place / "lock", why="another process is at work on this sweep"):
            # Under the lock: of two that begin at once only one may say what is searched.
            _write_facts(runner, place)
            yield place
    except Held as error:
        raise RecordError("is still running", where=f"sweep {runner.name}", do="wait for it") from error


def _write_facts(runner: TrialRunner, place: Path) -> None:
    sweep, variant = runner.sweep, runner.variant
    facts: dict[str, Any] = {
        "version": VERSION,
        "run": runner.run,
        "study": variant.study,
        "name": runner.name,
        "path": variant.path,
        "question": variant.question,
        "quick": variant.quick,
        "objective": sweep.target,
        "lower": sweep.lower,
        "executions": sweep.executions,
        "epochs": sweep.base.epochs,
        "tuner": type(sweep.tuner).__name__,
        "base": base_values(sweep),
        "sweep": to_json(sweep),
        "space": {
            name: {**domain.facts(), "only_if": next(map(list, conditions(sweep, name)), None)}
            for name, domain in sweep.space
        },
    }
    facts = masked(facts)
    path = place / sweeps.FACTS
    if not path.exists() or sweeps.read_json(path) != facts:
        write_json(path, facts, durable=True)


def run_trials(oracle: Any, runner: TrialRunner, worker: str) -> None:
    """Do trials until the search hands out no more; `oracle` is the search or a client of the chief's."""
    with sparing_libraries():
        while True:
            trial = oracle.create_trial(worker)
            if trial.status == "STOPPED":
                return
            if trial.status == "IDLE":
                time.sleep(IDLE_SECONDS)
                continue
            values = trial.hyperparameters.values
            request = TrialRequest.of(values)
            # A worker reads the spec file by itself: one that was edited since would train something else.
            if request.spec != runner.sweep.id:
                raise RecordError(
                    "this spec is not the chief's", where=runner.variant.path, do="give all the same file"
                )
            replace(runner, run=request.sweep).train(trial.trial_id, values)
            trial.status = "COMPLETED"  # how it ended is judged by its journals
            oracle.end_trial(trial)
