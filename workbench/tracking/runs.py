"""Which run a user means, and in what state it truly is.

A run is meant by its name, a unique beginning of it, its MLflow id, `study/name:seed` or `@last`. States
come from the journal and its lock, so that a killed training is seen as interrupted at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import RecordError, nearest, suggestion
from workbench.names import INTERRUPTED, SWEEP, TAG_KIND, TAG_RERUN, TAG_RUN, UNREADABLE
from workbench.tracking.journal import Journal, first_start, is_locked, read_journal, status_of
from workbench.tracking.removed_runs import removed
from workbench.tracking.rows import StartRecord
from workbench.tracking.store import Store, StoredRun, read_runs

SHOWN = 12  # titles named where none is near
LAST = "@last"  # the training that began last
TITLE = re.compile(r"(?P<study>[^/]+)/(?P<name>.+?)(:(?P<seed>\d+))?")
MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RunState:
    """One run of a store: its journal and true status."""

    run: str
    status: str
    journal: Journal

    @property
    def start(self) -> StartRecord | None:
        """The first attempt's start; None when no start row is intact."""
        return self.journal.start


def find_run(store: Store, text: str) -> str:
    """Return the name of the one run that `text` means.

    Raises RecordError, in one line, when no run or more than one fits.
    """
    store.require_there()
    names = dict.fromkeys(store.runs())
    stored = stored_runs(store)
    names.update(dict.fromkeys(row.run for row in stored if row.run))
    # A whole name goes first, without a look into any journal.
    if text in names:
        return text
    # Titles before MLflow ids and beginnings: what people call a run must never mean another one.
    titled = find_titled(store, text)
    if titled is not None:
        return titled
    for row in stored:
        if row.mlflow_id == text:
            return row.run or row.mlflow_id
    # An empty text begins every name, and means none.
    found = [name for name in names if name.startswith(text)] if text else []
    if not found and not store.is_local and MLFLOW_ID.fullmatch(text):
        found = _on_server(store, text)
    if len(found) == 1:
        return found[0]
    if not found:
        raise _unknown(store, text)
    shown = ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")
    raise RecordError(
        f"{text!r} fits {len(found)} runs: {shown}", where=store.root, do="give more of the name"
    )


def find_titled(store: Store, text: str) -> str | None:
    """Return the run that `study/name:seed`, `study/name` or `@last` means; None where `text` is none of these.

    Of several with that title the newest that is not a rerun and no `--quick` run. Raises `RecordError` where no
    run has it, or runs of several seeds have.
    """
    match = TITLE.fullmatch(text)
    if text != LAST and match is None:
        return None
    known = _trainings(store)
    # Reruns and quick runs first, then by time: the last of the list is the newest full training.
    known.sort(key=lambda start: (TAG_RERUN not in start.tags, not start.quick, start.time))
    if match is None:
        if not known:
            raise RecordError("no run yet", where=store.root, do="`workbench run SPEC` makes some")
        return max(known, key=lambda start: start.time).run
    found = [start for start in known if (start.study, start.name) == match.group("study", "name")]
    seeds = sorted({start.seed for start in found})
    if match["seed"] is not None:
        found = [start for start in found if start.seed == int(match["seed"])]
    elif len(seeds) > 1:
        raise RecordError(
            f"{text!r} has the seeds {', '.join(map(str, seeds))}",
            where=store.root,
            do=f"give one: {text}:{seeds[0]}",
        )
    if not found:
        _refuse_removed(store, text)
        seeded = [start.title for start in known]  # those of the right name go before others that look alike
        named = sorted({name for name in seeded if name.rpartition(":")[0] == text.rpartition(":")[0]})
        if named:
            raise RecordError(f"no run {text!r}", where=store.root, do=f"there is {', '.join(named[:SHOWN])}")
        raise _unknown(store, text)
    return found[-1].run


def _trainings(store: Store) -> list[StartRecord]:
    """Return the starts of all runs that train something, the oldest first."""
    starts = (first_start(store.journal(run)) for run in store.runs())
    return [start for start in starts if start is not None and start.tags.get(TAG_KIND) != SWEEP]


def _refuse_removed(store: Store, text: str) -> None:
    """Raise RecordError for a run that is in the store's trash."""
    # Said before "no run": whoever removed it yesterday would look for a typo.
    if any(one.is_called(text) for one in removed(store)):
        raise RecordError(f"run {text!r} is in the trash", where=store.root, do=f"`workbench restore {text}`")


def _unknown(store: Store, text: str) -> RecordError:
    """Return the refusal of a word that means no run: a study's by its runs, any other by the nearest titles."""
    known = _trainings(store)
    own = [start.title for start in known if start.study == text]
    if own:
        shown = ", ".join(list(dict.fromkeys(own))[:SHOWN])
        return RecordError(
            f"{text!r} is a study, not a run", where=store.root, do=f"name one of its runs: {shown}"
        )
    _refuse_removed(store, text)
    # The newest first, for of titles that look alike it is the one most likely meant.
    titles = list(dict.fromkeys(start.title for start in reversed(known)))
    by_end = {name.partition("/")[2]: name for name in titles} | {start.name: start.title for start in known}
    near = nearest(text, titles) or [by_end[name] for name in nearest(text, by_end)]
    do = suggestion(near[0], near) if near else "`workbench list` shows the runs"
    return RecordError(f"no run {text!r}", where=store.root, do=do)


def _on_server(store: Store, mlflow_id: str) -> list[str]:
    """Return our name of a run that only its server knows by `mlflow_id`; nothing when it does not."""
    from mlflow.exceptions import MlflowException

    from workbench.tracking.mlflow_client import open_client

    try:
        tags = open_client(store).get_run(mlflow_id).data.tags
    except MlflowException:
        return []
    return [tags.get(TAG_RUN, mlflow_id)]


def stored_runs(store: Store) -> list[StoredRun]:
    """Return the rows of MLflow's SQLite database, none when there is no such file."""
    return read_runs(store) if store.is_local and store.database.exists() else []


def read_states(store: Store) -> list[RunState]:
    """Return every run that has a journal, oldest first, each with its true status."""
    return [read_state(store, run) for run in store.runs()]


def read_state(store: Store, run: str) -> RunState:
    """Return one run's journal and status; RecordError when it has no journal."""
    path = store.journal(run)
    if not path.exists():
        raise RecordError("has no journal", where=run, do="`workbench list` shows the runs")
    locked = is_locked(path)  # asked before reading: a run may end between the two
    # Never an error: one hostile file in a merged store must not end the listing of all.
    journal = _believed(path, run)
    if journal.unreadable:
        return RunState(run, UNREADABLE, journal)
    return RunState(run, status_of(journal.end, locked), journal)


def _believed(path: Path, run: str) -> Journal:
    """Return a journal of a store; one that is a link, no file, or another run's says that it is unreadable."""
    if path.is_symlink():
        return Journal(path, unreadable="its journal is a link, which is not followed")
    try:
        journal = read_journal(path)
    except RecordError as error:
        return Journal(path, unreadable=error.what)
    # A journal copied under another name would give one run the results of another.
    other = next((start.run for start in journal.starts if start.run != run), None)
    return Journal(path, unreadable=f"its journal is that of run {other}") if other else journal


def unfinished(store: Store, identity: str, seed: int) -> list[str]:
    """Return the runs of this spec id and seed that a resume can go on with, the newest first."""
    return [
        state.run
        for state in reversed(read_states(store))
        if state.start and (state.start.id, state.start.seed) == (identity, seed) and is_resumable(state)
    ]


def is_resumable(state: RunState) -> bool:
    """Tell whether a run ended before its time and is no longer at work."""
    end = state.journal.end
    return state.status == INTERRUPTED or (end is not None and end.status in ("stopped", "killed", "failed"))
