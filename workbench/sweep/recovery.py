"""A tuner's trials out of the journals alone, where its own state is lost: the journals are the truth."""

from __future__ import annotations

from typing import Any

from workbench import names
from workbench.security import safe_json
from workbench.sweep.trials import TrialRunner
from workbench.tracking.journal import read_journal
from workbench.tracking.sweeps import TrialRequest


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
    missing = sorted({f"{number:04d}" for number in range(int(max(found)))} - set(found)) if found else []
    rows += [_gap(trial, next(iter(found.values()))) for trial in missing]
    return sorted(rows, key=lambda row: row["id"])


def _row(runner: TrialRunner, trial: str, values: dict[str, Any]) -> dict[str, Any]:
    request = TrialRequest.of(values)
    result = runner.judge(trial, values)
    failed = any(_failed(runner, run) for run in request.runs)
    at_work = result["value"] is None and not failed
    status = "RUNNING" if at_work else "FAILED" if failed else "COMPLETED"
    return {
        "id": trial,
        "status": status,
        "score": result["value"],
        "step": result["epoch"],
        "message": result["reason"] or None,
        "values": values,
        "result": None if at_work else result,
    }


def _failed(runner: TrialRunner, run: str) -> bool:
    path = runner.store.journal(run)
    end = read_journal(path).end if path.exists() else None
    return end is not None and end.status == names.FAILED


def _gap(trial: str, like: dict[str, Any]) -> dict[str, Any]:
    reason = "left no record"
    values = {
        **{name: value for name, value in like.items() if name.startswith("tuner/")},
        "tuner/trial_id": "",
    }
    values["tuner/order"] = TrialRequest({}, (), 0, trial).text()
    return {
        "id": trial,
        "status": "FAILED",
        "score": None,
        "step": 0,
        "message": reason,
        "values": values,
        "result": {"value": None, "values": [], "epoch": 0, "seconds": 0.0, "reason": reason},
    }
