"""`workbench resume`: go on with an unfinished run, from its own record."""

from __future__ import annotations

from pathlib import Path

import click

from workbench import catalog, names
from workbench.commands.run import run_here
from workbench.errors import RecordError, SpecError
from workbench.experiment import Experiment
from workbench.jobs.task import Task
from workbench.names import SWEEP, TAG_FORECAST, TAG_KIND
from workbench.parts import from_json
from workbench.tracking.records import StartRecord
from workbench.tracking.runs import find_run, is_resumable, read_state
from workbench.tracking.store import Store, find_store


@click.command()
@click.argument("run")
@click.option("--store", metavar="URI", help="Where the records are.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line on standard output.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def resume(run: str, store: str | None, as_json: bool, debug: bool) -> int:
    """Go on with RUN from its last checkpoint, in the same record, as if it had never stopped."""
    place = find_store(store)
    name = find_run(place, run)
    variant = recorded_variant(place, name, resumable=True)
    journal = read_state(place, name).journal
    tags = journal.start.tags if journal and journal.start else {}
    return run_here(Task(variant, name, True, tags.get(TAG_FORECAST)), place, as_json)


def recorded_variant(store: Store, run: str, resumable: bool = False) -> catalog.Variant:
    """Return the variant that a run was made of, from its own record.

    Raises `RecordError` where the journal has no start, or (with `resumable`) nothing is left to do.
    """
    state = read_state(store, run)
    start = state.journal.start if state.journal else None
    if start is None:
        raise RecordError("its journal has no readable start", where=run)
    if resumable and state.status == names.RUNNING:
        raise RecordError("is still running", where=run, do="wait for it, or stop it first")
    if resumable and not is_resumable(state):
        raise RecordError(f"is {state.status}", where=run, expected="an unfinished run")
    return catalog.Variant(
        start.name, recorded_experiment(start), study=start.study, path=str(start.provenance.get("spec_path", "")),
        question=str(start.provenance.get("question", "")), quick=start.quick,
        overrides=_overrides(start),
    )  # fmt: skip


def _overrides(start: StartRecord) -> dict[str, str]:
    origins = start.provenance.get("origins", {})
    return {name: how for name, how in origins.items() if how not in ("spec", "default")}


def recorded_experiment(start: StartRecord) -> Experiment:
    """Return the experiment of a start row; the spec file is run only where it defines parts itself."""
    if start.tags.get(TAG_KIND) == SWEEP:
        raise RecordError(
            "is a sweep", where=start.run, expected="a training",
            do=f"`workbench sweep {start.provenance.get('spec_path', 'FILE')} --resume` goes on with it",
        )  # fmt: skip
    try:
        experiment = from_json(dict(start.spec), where=start.run)
    except SpecError:
        path = Path(str(start.provenance.get("spec_path", "")))
        catalog.load_module(path)
        experiment = from_json(dict(start.spec), where=start.run)
    assert isinstance(experiment, Experiment)
    if experiment.id != start.id:
        raise RecordError(
            f"the recorded settings have the identity {experiment.id} in this version, not {start.id}",
            where=start.run, do="resume with the version of the workbench that began it",
        )  # fmt: skip
    return experiment
