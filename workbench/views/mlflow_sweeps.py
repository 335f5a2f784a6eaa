"""A sweep in MLflow: its trials below its own run, and the winner marked on both.

What is best stands in the sweep's folder and is known only when its trials have ended, so a trial is marked when it is
written, and all of them again when the sweep is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.errors import RecordError
from workbench.names import SWEEP, TAG_KIND, TAG_PREFIX, TAG_RUN, TAG_SWEEP
from workbench.tracking import sweeps
from workbench.tracking.rows import StartRecord, plain
from workbench.tracking.store import Store
from workbench.tracking.sweeps import SweepRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG_NESTED = "mlflow.parentRunId"  # MLflow's own tag: its pages show the run below that one
TAG_WINNER = TAG_PREFIX + "winner"  # of a trial's run: "true" for the best; of a sweep: the run that is


def winner_tags(store: Store, start: StartRecord) -> dict[str, str]:
    """Return what marks a winner: on a trial that is one, and on a sweep that has one."""
    parent = (
        start.run if start.tags.get(TAG_KIND) == SWEEP else start.parent if TAG_SWEEP in start.tags else None
    )
    record = _record(store, parent) if parent else None
    best = record.best() if record else None
    if record is None or best is None:
        return {}
    if parent != start.run:
        return {TAG_WINNER: "true"} if start.run in best.request.runs else {}
    settings = ", ".join(f"{name}={value}" for name, value in plain(dict(best.request.settings)).items())
    return {
        TAG_WINNER: ", ".join(best.request.runs),
        f"{TAG_WINNER}.settings": settings,
        f"{TAG_WINNER}.{record.objective}": json.dumps(plain(best.score)),
    }


def mark_trials(client: MlflowClient, store: Store, start: StartRecord, run_id: str, experiment: str) -> int:
    """Mark the winner among the trials below a sweep's run, and no other; return how many tags had to change."""
    record = _record(store, start.run)
    best = record.best() if record else None
    winners, changed = set(best.request.runs) if best else set(), 0
    for trial_id, run, marked in _trials(client, run_id, experiment):
        if (run in winners) == marked:
            continue
        changed += 1
        if marked:
            client.delete_tag(trial_id, TAG_WINNER)
        else:
            client.set_tag(trial_id, TAG_WINNER, "true")
    return changed


def _trials(client: MlflowClient, run_id: str, experiment: str) -> Iterator[tuple[str, str, bool]]:
    token = None
    while True:  # MLflow answers with at most so many runs at once
        query = f"tags.`{TAG_NESTED}` = '{run_id}'"
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        for row in page:
            yield row.info.run_id, row.data.tags.get(TAG_RUN, ""), TAG_WINNER in row.data.tags
        token = page.token
        if not token:
            return


def _record(store: Store, run: str) -> SweepRecord | None:
    try:
        return sweeps.read(store, run)
    except RecordError:  # its folder was not brought along, or is damaged: nothing is marked
        return None
