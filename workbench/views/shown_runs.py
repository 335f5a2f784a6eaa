"""Which runs a page shows, what tells them apart and which of their metrics count: for MLflow's table and for HParams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import RecordError
from workbench.names import BEST_PREFIX, SWEEP, TAG_KIND, TAG_OBJECTIVE, is_evaluation, metric_that_counts
from workbench.spec.labels import differing, value_text
from workbench.tracking.journal import Journal, first_start
from workbench.tracking.rows import EpochRecord, StartRecord
from workbench.tracking.runs import find_run, read_state
from workbench.tracking.store import Store


@dataclass(frozen=True)
class ShownRun:
    """One run that a page shows: its journal, the epochs that views show, and its true status."""

    start: StartRecord
    journal: Journal
    rows: Sequence[EpochRecord]
    status: str


def chosen(store: Store, words: Sequence[str]) -> list[str]:
    """Return the runs that `words` mean, studies and runs, the oldest first; quick runs of a study only if all are.

    Raises `RecordError` where a word is neither.
    """
    found: dict[str, None] = {}
    starts = {run: first_start(store.journal(run)) for run in store.runs()}
    for word in words:
        study = {run: start for run, start in starts.items() if start is not None and start.study == word}
        trained = [run for run, start in study.items() if start.tags.get(TAG_KIND) != SWEEP]
        full = [run for run in trained if not study[run].quick]
        found.update(dict.fromkeys((full or trained) if trained else [find_run(store, word)]))
    return sorted(found)


def read(store: Store, runs: Iterable[str]) -> list[ShownRun]:
    """Return runs as a page shows them; those of which nothing can be read are left out."""
    found = []
    for run in runs:
        try:
            state = read_state(store, run)
        except RecordError:
            continue
        if state.start is not None:
            found.append(ShownRun(state.start, state.journal, state.journal.published(), state.status))
    return found


def varying(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings that are not the same in all runs and say something of their own.

    Left out are the text of a tuple whose items vary, and what varies only as its owner does: the cycle of a schedule
    that some runs have, which is the same in all of those.
    """
    names = differing(parameters)
    items = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2].isdigit()}
    kept = [name for name in names if name not in items]
    return [name for name in kept if not _follows(name, kept, parameters)]


def _follows(name: str, names: Sequence[str], parameters: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the value of a part that varies decides that of its setting `name` in all runs."""
    owner = name.rpartition(".")[0]
    if owner not in names:
        return False
    pairs = {(value_text(row.get(owner)), value_text(row.get(name))) for row in parameters}
    return len(pairs) == len({value_text(row.get(owner)) for row in parameters})


def objective_of(shown: Sequence[ShownRun]) -> str | None:
    """Return the metric that chooses among runs: what a sweep seeks, what the specs select, else what counts."""
    known = metrics(shown)
    requested = [one.start.tags.get(TAG_OBJECTIVE) or one.start.spec.get("select") for one in shown]
    return metric_that_counts(known, requested)


def metrics(shown: Sequence[ShownRun]) -> list[str]:
    """Return the metrics that every run with an epoch has, in the order in which they are recorded."""
    having = [set().union(*(row.metrics for row in one.rows)) for one in shown if one.rows]
    names = dict.fromkeys(name for one in shown for row in one.rows for name in row.metrics)
    return [name for name in names if all(name in own for own in having)]


def best_tags(names: Iterable[str], objective: str | None, kept: Iterable[str]) -> list[str]:
    """Return the best values that are `kept`, the objective first, then evaluation sets, then the others."""
    tags = [f"{BEST_PREFIX}{name}" for name in names]

    def rank(tag: str) -> tuple[bool, bool, int]:
        name = tag.removeprefix(BEST_PREFIX)
        return name != objective, not is_evaluation(name), tags.index(tag)

    return sorted(set(tags) & set(kept), key=rank)
