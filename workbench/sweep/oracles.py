"""Keras Tuner's searches as a sweep needs them: state that survives a kill, scores from the journals.

Keras Tuner writes its state in many files that a kill can leave torn or at odds; here it is one value,
handed to a host that replaces it as a whole. A trial's result comes from the journals of its runs, so
that a NaN never wins and the best epoch is that of the whole run. Imports Keras Tuner and TensorFlow.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from keras_tuner import oracles
from keras_tuner.engine.trial import Trial
from threadpoolctl import threadpool_limits

from workbench.lazy import keras_tuner
from workbench.sweep.gaussian import process
from workbench.tracking.sweeps import REQUEST

RUNNING, COMPLETED, FAILED, STOPPED, IDLE = "RUNNING", "COMPLETED", "FAILED", "STOPPED", "IDLE"
# Draws of values that were tried before, until the space counts as exhausted. Keras Tuner gives up after 20, with much of
# a small space untried.
COLLISIONS = 2000
SEED_STRIDE = 1_000_003  # more than any search has trials: no two seeds share a state at any trial


class OracleHost(Protocol):
    """What the sweep does for its search: keep its state, fill in requests, judge ended trials."""

    limit: int | None  # trials at most
    max_failed: int

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep the state durably."""

    def request(self, trial: str, values: Mapping[str, Any]) -> str:
        """Return the request (JSON) of a new trial with these values."""

    def judge(self, trial: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of an ended trial: `value` (None: failed), `values`, `epoch`, `reason` ..."""

    def combinations(self) -> Iterable[dict[str, Any]]:
        """Return the combinations of a grid, in order."""

    def ended(self, trial: str, values: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Take notice of an ended trial."""


class ResumableOracle(keras_tuner.Oracle):
    """What every search has in common; comes before Keras Tuner's class among the bases."""

    host: OracleHost
    hyperparameters: Any
    ongoing_trials: dict[str, Any]
    tuner_ids: set[str]
    _retry_queue: list[str]

    def attach(self, host: OracleHost) -> None:
        """Take up work for a sweep."""
        # Silent: Keras Tuner prints a table of its own for each trial, into what `--json` prints.
        self.host, self.verbose = host, 0
        self.results: dict[str, dict[str, Any]] = {}
        self._max_collisions = COLLISIONS
        self.ended_before = 0  # trials that ended before this start do not count as failures in a row

    # ------------------------------------------------------------ trials

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return what to try next, its request with it; no more after the limit or too many failures."""
        at_limit = self.host.limit is not None and len(self.trials) >= self.host.limit
        if at_limit or self.failures() >= self.host.max_failed:
            return {"status": STOPPED}
        found: dict[str, Any] = super().populate_space(trial_id)
        if found["status"] == RUNNING:
            found["values"] = {**found["values"], REQUEST: self.host.request(trial_id, found["values"])}
        return found

    def failures(self) -> int:
        """Return how many of the trials that ended last, since this start, failed one after another."""
        ended = [self.trials[trial].status for trial in self.end_order[self.ended_before :]]
        return len(list(itertools.takewhile(lambda status: status == FAILED, reversed(ended))))

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        """Take up an ended trial; how it ended is read from its runs' journals."""
        # The state is saved (by `super`) before the host adds the sweep's own row: a kill in between leaves a row
        # out, which the next start adds, while a row without its trial could not be explained.
        kept = self.trials[trial.trial_id]
        if trial.trial_id in self.end_order:
            return  # a worker that was thought to be lost: another has ended its trial
        result = self.host.judge(trial.trial_id, kept.hyperparameters.values)
        self.results[trial.trial_id] = result
        trial.hyperparameters = kept.hyperparameters  # a worker's are rounded to 32 bits
        trial.status = FAILED if result["value"] is None else COMPLETED
        trial.message = result["reason"] or None
        super().end_trial(trial)
        self.host.ended(trial.trial_id, kept.hyperparameters.values, result)

    @keras_tuner.synchronized
    def hand_back(self, tuner: str) -> str | None:
        """Give a lost worker's trial to the next that asks; return it, or None if it held none."""
        trial = self.ongoing_trials.pop(tuner, None)
        self.tuner_ids.discard(tuner)
        if trial is None:
            return None
        self._retry_queue.append(trial.trial_id)
        self.save()
        return str(trial.trial_id)

    def score_trial(self, trial: Any) -> None:
        """Give a completed trial the value that was found in the journals."""
        result = self.results[trial.trial_id]
        trial.score, trial.best_step = result["value"], result["epoch"]

    def _check_consecutive_failures(self) -> None:
        """Raise nothing: too many failures end the search between two trials."""
        # Keras Tuner raises here, in the midst of ending a trial and before it has saved that it ended.

    def _compute_values_hash(self, values: Mapping[str, Any]) -> Any:
        # Of the settings alone: requests name their runs, so that with them no two trials would ever be equal.
        settings = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        return super()._compute_values_hash(settings)

    # ------------------------------------------------------------ state

    def _save_trial(self, trial: Any) -> None:
        """Write nothing by itself: trials are part of the state."""

    def save(self) -> None:
        """Hand the whole state to the host."""
        self.host.write({"oracle": self.get_state(), "trials": [self._row(t) for t in self.trials.values()]})

    def _row(self, trial: Any) -> dict[str, Any]:
        return {
            "id": trial.trial_id,
            "status": trial.status,
            "score": trial.score,
            "step": trial.best_step,
            "message": trial.message,
            "values": dict(trial.hyperparameters.values),
            "result": self.results.get(trial.trial_id),
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Go on from a kept state: trials that were at work are handed out again, first of all."""
        # Trials before the rest: Keras Tuner's `set_state` looks them up by their numbers.
        for row in state["trials"]:
            space = self.hyperparameters.copy()
            space.values = dict(row["values"])
            trial = Trial(space, row["id"], row["status"], row["message"])
            trial.score, trial.best_step = row["score"], row["step"]
            self.trials[row["id"]] = trial
            if row["result"]:
                self.results[row["id"]] = row["result"]
        if state.get("oracle"):
            space = self.hyperparameters
            self.set_state({**state["oracle"], "ongoing_trials": {}})
            self.hyperparameters = space  # the spec's: equal, unless the user allowed a changed space
        queued = list(self._retry_queue)
        lost = [t.trial_id for t in self.trials.values() if t.status == RUNNING and t.trial_id not in queued]
        self._retry_queue = [*queued, *sorted(lost, reverse=True)]  # taken from its end
        self.ongoing_trials, self.tuner_ids = {}, set()
        self.ended_before = len(self.end_order)

    def recover(self, rows: list[dict[str, Any]]) -> None:
        """Take up trials found in the journals, where the state itself is lost."""
        self.take_up({"trials": rows})
        ids = sorted(self.trials)
        self.start_order = ids
        self.end_order = [trial for trial in ids if self.trials[trial].status != RUNNING]
        for trial in ids:
            self._record_values(self.trials[trial])
        # As far on as those draws have brought it, one a setting: else the same values would be drawn again.
        self._seed_state += len(ids) * max(1, len(self.hyperparameters.space))
        self.ended_before = len(self.end_order)


class RandomOracle(ResumableOracle, oracles.RandomSearchOracle):
    """Keras Tuner's random search."""

    def __init__(self, **common: Any) -> None:
        # Without a limit, which the host watches: Keras Tuner makes numbers of trials as long as the limit is, and
        # a sweep that goes on with more trials would number them otherwise. Without one they have four digits.
        super().__init__(max_trials=None, **common)


class GridOracle(RandomOracle):
    """Every combination in order: the next is the first that was not tried, so that any resume goes on."""

    def attach(self, host: OracleHost) -> None:
        super().attach(host)
        self._walk = iter(host.combinations())  # once through all: what it has passed was tried

    def _random_values(self) -> dict[str, Any] | None:
        return next((own for own in self._walk if not self._duplicate(own)), None)


class BayesianOracle(ResumableOracle, oracles.BayesianOptimizationOracle):
    """Keras Tuner's Bayesian search; a proposal that was tried before gives way to a random one."""

    def __init__(self, **common: Any) -> None:
        super().__init__(max_trials=None, **common)

    def _make_gpr(self) -> Any:
        return process(self.alpha, self.seed)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        # The same numbers at the same trial, whether or not the search was taken up anew before it.
        self._random_state = np.random.RandomState((self.seed * SEED_STRIDE + len(self.trials)) % 2**32)
        with warnings.catch_warnings(), threadpool_limits(1):  # so small: more cores only wait for each other
            warnings.simplefilter("ignore")  # of the process's fit: nothing that a user could change
            found = super().populate_space(trial_id)
        # Keras Tuner proposes its optimum again and again: a trial that is a repetition teaches nothing.
        if found["status"] == RUNNING and self._duplicate(found["values"]):
            values = self._random_values()
            if values is None:
                return {"status": STOPPED}
            return {"status": RUNNING, "values": {**values, REQUEST: self.host.request(trial_id, values)}}
        return found


class HyperbandOracle(ResumableOracle, oracles.HyperbandOracle):
    """Keras Tuner's Hyperband; where a small space runs out of new values, a bracket is smaller.

    Keras Tuner would end there, with nothing promoted.
    """

    def attach(self, host: OracleHost) -> None:
        super().attach(host)
        self._filled: dict[int, int] = {}  # bracket number: members of its first rung, where fewer

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = super()._random_trial(trial_id, bracket)
        if found["status"] == RUNNING:
            return found
        self._filled[bracket["bracket_num"]] = len(bracket["rounds"][0])
        # Keras Tuner's own: ours, which called this, would take the request that it adds for that of a promoted trial.
        return oracles.HyperbandOracle.populate_space(self, trial_id)

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        whole = int(super()._get_size(bracket_num, round_num))
        first = self._filled.get(bracket_num)
        return whole if first is None else min(whole, -(-first // self.factor**round_num))

    def recover(self, rows: list[dict[str, Any]]) -> None:
        super().recover(rows)
        self._brackets: list[dict[str, Any]] = []
        places: dict[str, int] = {}
        for trial in self.start_order:
            values = self.trials[trial].hyperparameters.values
            past = values.get("tuner/trial_id") or None
            number = places[past] if past in places else self._bracket_of(values)
            places[trial] = number
            self._brackets[number]["rounds"][values["tuner/round"]].append({"past_id": past, "id": trial})
        if self._brackets:
            self._current_bracket = self._brackets[-1]["bracket_num"]
        else:
            self._start_new_bracket()

    def _bracket_of(self, values: Mapping[str, Any]) -> int:
        """Return the place of the last bracket of a first-rung trial's number, which is begun if need be."""
        wanted = values["tuner/bracket"]
        full = [b for b in self._brackets if b["bracket_num"] == wanted]
        if not full or len(full[-1]["rounds"][0]) >= self._get_size(wanted, 0):
            self._brackets.append({"bracket_num": wanted, "rounds": [[] for _ in range(wanted + 1)]})
        return len(self._brackets) - 1

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "filled": [list(item) for item in self._filled.items()]}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._filled = dict(map(tuple, state.get("filled", [])))
