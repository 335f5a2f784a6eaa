"""Any runs that differ in settings as the trials of a sweep, so that their effects are compared in the same way."""

from __future__ import annotations

from typing import Any

from analysis.frames import Records, known_settings
from analysis.tables.summary import default_metric, seed_groups
from workbench.errors import RecordError
from workbench.names import FINISHED
from workbench.spec import labels
from workbench.tracking.sweeps import SweepRecord, TrialRequest, TrialRow

OFF = "off"  # a setting that a run does not have


def as_sweep(name: str, records: Records) -> SweepRecord:
    """Return runs as a sweep's record: runs that differ in their seed alone are one trial.

    Raises `RecordError` where there are no two runs, or where they differ in no setting.
    """
    rows = known_settings(records.runs)
    varied = [setting for setting in labels.differing(rows) if not setting.endswith(".name")]
    if len(rows) < 2 or not varied:
        raise RecordError(
            f"{len(rows)} runs that differ in no setting",
            where=name,
            do="name runs that do; `workbench import --set NAME=VALUE` gives imported runs settings",
        )
    reached = records.epochs.groupby("run", observed=True)["epoch"].max()
    runs = records.runs["run"].tolist()
    trials = []
    for number, group in enumerate(seed_groups(records.runs)):
        own = [runs[place] for place in group if runs[place] in reached.index]
        settings = {setting: rows[group[0]].get(setting, OFF) for setting in varied}
        epochs = int(min((reached[run] for run in own), default=0))
        request = TrialRequest(settings, tuple(own), epochs, f"{number:03d}")
        trials.append(TrialRow(request.chain, request, "completed" if own else "failed"))
    space = {setting: {"values": _values(rows, setting)} for setting in varied}
    facts = {"name": name, "objective": default_metric(records), "space": space, "status": FINISHED}
    return SweepRecord(name, facts, tuple(trials))


def _values(rows: list[dict[str, Any]], setting: str) -> list[Any]:
    """Return the values of a setting, numbers in their order, then the others as they came."""
    values = list(dict.fromkeys(row.get(setting, OFF) for row in rows))
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return [*sorted(numbers), *(value for value in values if value not in numbers)]
