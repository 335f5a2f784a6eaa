"""Removed runs: everything that a store holds of a run, moved into its trash as it is, and back.

Nothing is copied and nothing deleted, so a removal is undone whole. The journal goes first and comes back last:
whatever ends the move, a run is either there or in the trash, and doing it again completes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from workbench.errors import RecordError, StoreError
from workbench.tracking.journal import is_locked
from workbench.tracking.removed_runs import FOLDER, JOURNAL
from workbench.tracking.runs import read_states
from workbench.tracking.store import Store
from workbench.tracking.sweeps import FOLDER as SWEEPS
from workbench.tracking.sweeps import names as sweep_names
from workbench.tracking.sweeps import read as read_sweep


def with_trials(store: Store, runs: Sequence[str]) -> list[str]:
    """Return the runs, each sweep followed by the runs of its trials: without it they say little."""
    sweeps = set(sweep_names(store))
    found = [each for run in runs for each in (run, *(read_sweep(store, run).runs if run in sweeps else ()))]
    return [run for run in dict.fromkeys(found) if store.journal(run).exists()]


def refuse_needed(store: Store, runs: Sequence[str]) -> None:
    """Raise `RecordError` for a run that is at work, or that a run which stays needs: a trunk, a sweep's trial."""
    going = set(runs)
    for run in runs:
        # A writer would go on appending to a file in the trash.
        if is_locked(store.journal(run)):
            raise RecordError("is still running", where=run, do="stop it first")
    for state in read_states(store):
        # A branch shows its trunk's epochs as its own, and cannot be resumed without them.
        trunk = state.journal.trunk if state.run not in going else {}
        if trunk and trunk["run"] in going:
            raise RecordError(
                f"run {state.run} is a branch of it", where=str(trunk["run"]), do="remove both in one command"
            )
    for sweep in sweep_names(store):
        trials = [] if sweep in going else [run for run in read_sweep(store, sweep).runs if run in going]
        if trials:
            raise RecordError(
                f"is a trial of the sweep {sweep}", where=trials[0], do="remove the whole sweep"
            )


def discard(store: Store, run: str) -> None:
    """Move all that the store holds of a run into its trash."""
    # Before anything moves: half a run in the trash would be neither here nor there.
    store.refuse_links(run)
    target = store.root / FOLDER / run
    target.mkdir(parents=True, exist_ok=True)
    for here, there in _places(store, run):
        _move(here, target / there)
    # The moment of removal is the folder's own time: nothing of the run is rewritten for it.
    os.utime(target)


def bring_back(store: Store, run: str) -> None:
    """Move a run out of the trash; raises `StoreError` where a run of its name is there again."""
    if store.journal(run).exists():
        raise StoreError("a run of this name is here again", where=run, do="remove that one first")
    target = store.root / FOLDER / run
    # The journal last: until it is back the run does not count, and a second try completes the move.
    for here, there in reversed(list(_places(store, run))):
        _move(target / there, here)
    # Not a tree's removal: what somebody else put there must stay, and fails here.
    target.rmdir()


def _places(store: Store, run: str) -> Iterator[tuple[Path, str]]:
    """Yield where the parts of a run lie, and what each is called in the trash; the journal, which counts, first."""
    yield store.journal(run), JOURNAL
    yield store.run_folder(run), "record"
    yield store.run_checkpoints(run), "checkpoints"
    yield store.tensorboard / run, "tensorboard"
    yield store.root / SWEEPS / run, "sweep"


def _move(source: Path, target: Path) -> None:
    if not source.exists():
        return
    if target.exists():
        raise StoreError("is in the way", where=target, do=f"move it, or {source}, elsewhere first")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A rename, for trash and store are on one file system: checkpoints of gigabytes are not copied.
        source.rename(target)
    except OSError as error:
        raise StoreError(f"cannot be moved: {error.strerror}", where=source) from error
