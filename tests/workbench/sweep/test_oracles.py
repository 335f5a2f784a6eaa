"""Keras Tuner's searches under kills: after one at every write of the state, each trial is there once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from test_spec import sweep

from workbench import BayesianOptimization, Choice, Float, GridSearch, Hyperband, RandomSearch, Sweep
from workbench.sweep.keras_space import combinations, declared
from workbench.tracking.sweeps import REQUEST, TrialRequest

pytestmark = pytest.mark.tensorflow

SMALL = {
    "weight_decay": Choice(0, 1e-4, 1e-3),
    "label_smoothing": Choice(0, 0.1),
    "embedding.dropout": Choice(0, 0.4),
}
WIDE = {"learning_rate": Float(1e-3, 1, sampling="log"), "label_smoothing": Choice(0, 0.1)}


class Killed(BaseException):
    """Stands for SIGKILL."""


class Desk:
    """A desk without trainings: a trial's value is a formula of its settings, epochs cost nothing."""

    max_failed = 3

    def __init__(
        self, own: Sweep, limit: int | None = None, kill_at: int = -1, fails: tuple[str, ...] = ()
    ) -> None:
        import keras_tuner

        self.sweep, self.limit, self.kill_at, self.fails = own, limit, kill_at, fails
        self.writes, self.state = 0, ""
        self.trained: list[tuple[str, int]] = []  # chain and epochs of every training
        self.space = declared(own, keras_tuner.HyperParameters())
        self.listed = list(combinations(own, self.space))
        self.oracle: Any = None

    def begin(self) -> None:
        import keras_tuner

        own = self.sweep
        objective = keras_tuner.Objective(own.target, "min" if own.lower else "max")
        self.oracle = own.tuner.oracle(
            objective=objective, hyperparameters=self.space.copy(), seed=own.seed + 1
        )
        self.oracle.attach(self)
        if self.state:
            self.oracle.take_up(json.loads(self.state))

    def write(self, state: Mapping[str, Any]) -> None:
        self.state = json.dumps(state)
        self.writes += 1
        if self.writes == self.kill_at:
            raise Killed

    def request(self, trial: str, values: Mapping[str, Any]) -> str:
        epochs = self.sweep.tuner.epochs(values, 6)
        if REQUEST in values:
            before = TrialRequest.of(values)
            return TrialRequest(before.settings, before.runs, epochs, before.chain).text()
        return TrialRequest(
            {n: values[n] for n in self.sweep.domains if n in values}, (f"run{trial}",), epochs, trial
        ).text()

    def judge(self, trial: str, values: Mapping[str, Any]) -> dict[str, Any]:
        request = TrialRequest.of(values)
        value = sum(math.sin(50 * float(v)) for v in request.settings.values()) + request.epochs / 100
        failed = trial in self.fails
        return {
            "value": None if failed else value,
            "values": [value],
            "epoch": 1,
            "seconds": 0.0,
            "reason": "no" * failed,
        }

    def combinations(self) -> list[dict[str, Any]]:
        return self.listed

    def ended(self, trial: str, values: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Nothing to show."""

    def search(self, worker: str = "here") -> None:
        while True:
            trial = self.oracle.create_trial(worker)
            if trial.status == "STOPPED":
                return
            request = TrialRequest.of(trial.hyperparameters.values)
            self.trained.append((request.chain, request.epochs))
            trial.status = "COMPLETED"
            self.oracle.end_trial(trial)

    def tried(self) -> dict[str, tuple[Any, ...]]:
        found = {}
        for trial in self.oracle.trials.values():
            request = TrialRequest.of(trial.hyperparameters.values)
            found[trial.trial_id] = (request.chain, request.epochs, tuple(request.settings.items()))
        return found


TUNERS = {
    "grid": (SMALL, GridSearch(), None),
    "random": (WIDE, RandomSearch(), 7),
    "bayes": (SMALL, BayesianOptimization(num_initial_points=3), 5),
    "hyperband": (WIDE, Hyperband(max_epochs=6, factor=2), None),
    "exhausted": (SMALL, Hyperband(max_epochs=6, factor=2), None),
}


@pytest.mark.parametrize("name", TUNERS)
def test_a_kill_at_any_write_loses_doubles_and_changes_no_trial(name: str):
    space, tuner, limit = TUNERS[name]
    own = sweep(space=space, tuner=tuner)
    whole = Desk(own, limit)
    whole.begin()
    whole.search()
    assert len(whole.trained) == len(set(whole.trained)) > 4
    kills = range(1, whole.writes + 1) if name != "bayes" else (8,)  # a proposal takes a second
    for kill_at in kills:
        host = Desk(own, limit, kill_at)
        host.begin()
        with pytest.raises(Killed):
            host.search()
        host.begin()
        host.search()
        assert host.tried() == whole.tried(), kill_at
        assert sorted(host.oracle.end_order) == sorted(whole.oracle.end_order), kill_at


def test_a_grid_holds_every_combination_once_in_order():
    host = Desk(sweep(space=SMALL))
    host.begin()
    host.search()
    assert [dict(settings) for _, _, settings in host.tried().values()] == host.listed
    assert len(host.listed) == 12


def test_hyperband_promotes_in_a_space_that_is_smaller_than_its_first_rung():
    host = Desk(sweep(space=SMALL, tuner=Hyperband(max_epochs=6, factor=2)))
    host.begin()
    host.search()
    chains = {chain for chain, _ in host.trained}
    assert len(chains) == 12  # every combination once ...
    best = max(host.listed, key=lambda own: sum(math.sin(50 * float(v)) for v in own.values()))
    longest = [settings for chain, epochs, settings in host.tried().values() if epochs == 6]
    assert tuple(best.items()) in longest  # ... and the best of them to the end


def test_a_hyperband_promotion_goes_on_with_the_runs_of_its_chain():
    host = Desk(sweep(space=WIDE, tuner=Hyperband(max_epochs=6, factor=2)))
    host.begin()
    host.search()
    promoted = [t for t in host.oracle.trials.values() if t.hyperparameters.values.get("tuner/trial_id")]
    assert promoted
    for trial in promoted:
        request = TrialRequest.of(trial.hyperparameters.values)
        assert request.runs == (f"run{request.chain}",)
        assert request.epochs > trial.hyperparameters.values["tuner/initial_epoch"]


def test_failed_trials_are_passed_over_until_too_many_fail_in_a_row():
    host = Desk(sweep(space=SMALL), fails=("0001", "0002", "0005"))
    host.begin()
    host.search()
    assert len(host.oracle.trials) == 12
    assert [t.trial_id for t in host.oracle.trials.values() if t.status == "FAILED"] == [
        "0001",
        "0002",
        "0005",
    ]
    host = Desk(sweep(space=SMALL), fails=("0003", "0004", "0005"))
    host.begin()
    host.search()
    assert len(host.oracle.trials) == 6
    assert host.oracle.failures() == 3
    host.begin()  # a resume tries again
    host.search()
    assert len(host.oracle.trials) == 12


@pytest.mark.parametrize("name", ["random", "hyperband", "grid"])
def test_trials_found_in_the_journals_make_the_state_anew(name: str):
    space, tuner, limit = TUNERS[name]
    host = Desk(sweep(space=space, tuner=tuner), limit, kill_at=12 if name != "random" else 7)
    host.begin()
    with pytest.raises(Killed):
        host.search()
    rows = json.loads(host.state)["trials"]
    host.state = ""
    host.begin()
    host.oracle.recover(rows)
    host.search()
    kept = {row["id"] for row in rows}
    assert kept <= set(host.oracle.trials)
    chains = list(host.trained)
    again = [key for key in chains if chains.count(key) > 1]
    at_work = {
        (TrialRequest.of(r["values"]).chain, TrialRequest.of(r["values"]).epochs)
        for r in rows
        if r["status"] == "RUNNING"
    }
    assert set(again) <= at_work
    assert {len(set(s)) for s in [tuple(host.oracle.end_order)]} == {len(host.oracle.end_order)}


def test_lost_workers_trials_are_handed_to_the_next():
    host = Desk(sweep(space=SMALL))
    host.begin()
    first, second = host.oracle.create_trial("one"), host.oracle.create_trial("two")
    assert first.trial_id != second.trial_id
    assert host.oracle.hand_back("one") == first.trial_id
    assert host.oracle.hand_back("nobody") is None
    assert host.oracle.create_trial("three").trial_id == first.trial_id
    assert host.oracle.create_trial("two").trial_id == second.trial_id  # it still holds its own
