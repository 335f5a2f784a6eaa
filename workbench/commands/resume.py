"""`workbench resume`: go on with an unfinished run, from its own record."""

from __future__ import annotations

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, STORE, TRUST_CODE, json_option
from workbench.commands.run import run_here
from workbench.distribute.roles import is_worker
from workbench.jobs.task import Task
from workbench.names import TAG_FORECAST
from workbench.security.visible_text import surviving_lost_streams
from workbench.tracking.runs import find_run, read_state
from workbench.tracking.store import find_store
from workbench.train.from_record import recorded_experiment, recorded_variant

__all__ = ["recorded_experiment", "recorded_variant", "resume"]


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.option(
    "--from-start", is_flag=True, help="Train again from epoch 1, where no sound state is left or wanted."
)
@TRUST_CODE
@STORE
@json_option("one JSON line on standard output")
@DEBUG
@surviving_lost_streams()
def resume(run: str, from_start: bool, trust_code: bool, store: str | None, as_json: bool) -> int:
    """Resume RUN from its last checkpoint, in the same record, as if it had never stopped.

    It says which state it takes and what it passes over, and refuses to begin anew unasked.
    """
    place = find_store(store)
    name = find_run(place, run)
    variant = recorded_variant(place, name, trust_code=trust_code)
    if not is_worker(variant.experiment.devices):  # a worker does what its chief was asked to do
        variant = recorded_variant(place, name, resumable=True, trust_code=trust_code)
    start = read_state(place, name).start
    forecast = start.tags.get(TAG_FORECAST) if start else None
    return run_here(Task(variant, name, True, forecast, from_start), place, as_json)
