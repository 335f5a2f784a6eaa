"""A tuner's trials out of the journals alone, where its own state is lost: the journals are the truth."""

from __future__ import annotations

from typing import Any

from workbench import names
from workbench.security import safe_json
from workbench.sweep.trials import TrialRunner
from workbench.tracking.journal import read_journal
from workbench.tracking.sweeps import REQUEST, TrialRequest


def rows_of(runner: TrialRunner) -> list[dict[str, Any]]:
    """Return the sweep's trials as its state holds them, in order of their numbers.

    Trials that left no run (values that were refused) are gaps, filled as failed ones.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runner.store.runs():
        for start in read_journal(runner.store.journal(run)).starts:
            if start.parent == runner.run and names.TAG_ORDER in start.tags:
                found[start.tags[names.TAG_TRIAL]] = safe_json.loads(start.tags[names.TAG_ORDER])
    rows = [_row(runner, trial, values) for trial, values in sorted(found.items())]
    # Numbers are counted on from what is there: a gap would give one number to two trials.
    missing = sorted({f"{number:04d}" for number in range(int(max(found)))} - set(found)) if found else []
    rows += [_gap(trial, next(iter(found.values()))) for trial in missing]
    return sorted(rows, key=lambda row: row["id"])


def _row(runner: TrialRunner, trial: str, values: dict[str, Any]) -> dict[str, Any]:
    request = TrialRequest.of(values)
    result = runner.judge(trial, values)
    failed = any(_failed(runner, run) for run in request.runs)
    at_work = result["value"] is None and not failed
    status = "RUNNING" if at_work else "FAILED" if failed else "COMPLETED"
    return _state(trial, status, values, result)


def _state(trial: str, status: str, values: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Return a trial as `ResumableOracle.take_up` reads it."""
    return {
        "id": trial,
        "status": status,
        "score": result["value"],
        "step": result["epoch"],
        "message": result["reason"] or None,
        "values": values,
        "result": None if status == "RUNNING" else result,
    }


def _failed(runner: TrialRunner, run: str) -> bool:
    path = runner.store.journal(run)
    end = read_journal(path).end if path.exists() else None
    return end is not None and end.status == names.FAILED


def _gap(trial: str, like: dict[str, Any]) -> dict[str, Any]:
    # Without settings, so that none counts as tried; with Hyperband's own words, which tell where the trial stood.
    values = {name: value for name, value in like.items() if name.startswith("tuner/")}
    values |= {"tuner/trial_id": "", REQUEST: TrialRequest({}, (), 0, trial).text()}
    result: dict[str, Any] = {
        "value": None,
        "values": [],
        "epoch": 0,
        "seconds": 0.0,
        "reason": "left no record",
    }
    return _state(trial, "FAILED", values, result)
