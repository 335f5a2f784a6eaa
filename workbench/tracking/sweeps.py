"""What a store holds of sweeps: one folder each, `mlruns/sweeps/<run>/`, named after the sweep's own run.

`sweep.json` says what is searched and is written once. `state.json` is the tuner's state with all
trials, replaced as a whole after every change, so that a kill at any moment leaves one or the other.
The results in it are copies: the journals of the trials' runs are the truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import RecordError, suggestion
from workbench.names import badness
from workbench.security import safe_json
from workbench.tracking.rows import RUN_NAME
from workbench.tracking.store import Store

FOLDER = "sweeps"
FACTS, STATE = "sweep.json", "state.json"
REQUEST = "tuner/order"  # where a trial's values carry its request, as JSON


@dataclass(frozen=True)
class TrialRequest:
    """What a trial asks for: raw values, the names of its runs (one an execution) and epochs.

    `chain` is the trial that began the runs: Hyperband numbers a promotion anew, but it continues them.
    `sweep` and `spec` are the sweep's run and identity, for a worker that knows its spec file only. It travels as JSON because Keras Tuner's messages round numbers to 32 bits.
    """

    settings: Mapping[str, Any]
    runs: tuple[str, ...]
    epochs: int
    chain: str
    sweep: str = ""
    spec: str = ""

    def text(self) -> str:
        # A copy of the settings, for the mapping may be a view that JSON does not know.
        return json.dumps({**vars(self), "settings": dict(self.settings)})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrialRequest:
        """Return the request in a trial's values."""
        row = safe_json.loads(values[REQUEST])
        return cls(**{**row, "runs": tuple(row["runs"])})


@dataclass(frozen=True)
class TrialRow:
    """One trial as the state holds it; `score` is the mean of `results`, the best values of its runs.

    `status` is running, completed or failed; `epoch` that of the first run's best value (1-based).
    """

    id: str
    request: TrialRequest
    status: str
    score: float | None = None
    results: tuple[float, ...] = ()
    epoch: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class SweepRecord:
    """One sweep of a store: `facts` of `sweep.json`, and its trials in the order of their numbers."""

    run: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    trials: tuple[TrialRow, ...] = ()

    @property
    def name(self) -> str:
        return str(self.facts.get("name", ""))

    @property
    def study(self) -> str:
        return str(self.facts.get("study", ""))

    @property
    def objective(self) -> str:
        return str(self.facts.get("objective", ""))

    @property
    def lower(self) -> bool:
        return bool(self.facts.get("lower"))

    @property
    def runs(self) -> list[str]:
        """The runs of all trials, each once, in the order in which they were begun."""
        return list(dict.fromkeys(run for trial in self.trials for run in trial.request.runs))

    def best(self) -> TrialRow | None:
        """Return the completed trial with the best score, the earliest of equals; None before the first."""
        done = [trial for trial in self.trials if trial.status == "completed" and trial.score is not None]
        return min(done, key=lambda trial: badness(float(trial.score or 0.0), self.lower), default=None)


def folder(store: Store, run: str) -> Path:
    """Return the folder of a sweep."""
    return store.root / FOLDER / run


def names(store: Store) -> list[str]:
    """Return the runs of all sweeps of a store, the oldest first."""
    return sorted(path.parent.name for path in (store.root / FOLDER).glob(f"*/{FACTS}"))


def read(store: Store, run: str) -> SweepRecord:
    """Return a sweep as its folder holds it; raises `RecordError` for a damaged or missing one."""
    place = folder(store, run)
    facts = read_json(place / FACTS)
    # A sweep that was killed before its first trial has facts only.
    state = read_json(place / STATE) if (place / STATE).exists() else {}
    try:
        # Numbers are padded with zeros: as texts they stand in the order in which trials were begun.
        trials = sorted(map(_trial, state.get("trials", [])), key=lambda trial: trial.id)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RecordError(f"is damaged: {error!r}", where=place / STATE, do=REPAIR) from error
    return SweepRecord(run, facts, tuple(trials))


REPAIR = "move it away: `workbench sweep FILE --resume` makes it anew from the journals"


def _trial(row: Mapping[str, Any]) -> TrialRow:
    result = row.get("result") or {}
    return TrialRow(
        row["id"],
        TrialRequest.of(row["values"]),
        str(row["status"]).lower(),
        row.get("score"),
        tuple(result.get("values", ())),
        int(result.get("epoch", 0)),
        float(result.get("seconds", 0.0)),
        str(result.get("reason", "")),
    )


def find(store: Store, text: str) -> SweepRecord | None:
    """Return the sweep that `text` means: its run, a beginning of it, `study/name` or its name (the
    newest of that name); None where no sweep fits."""
    runs = names(store)
    # The exact run first, without opening any file of the others.
    if text in runs:
        return read(store, text)
    if RUN_NAME.fullmatch(text):  # another run: no need to ask every sweep for its name
        return None
    # Only what has a run's form is the beginning of one: `study/name` may begin like another name.
    begun = [run for run in runs if "Z-" in text and run.startswith(text)]
    if len(begun) == 1:
        return read(store, begun[0])
    return _newest(
        store, lambda facts: text in (facts.get("name"), f"{facts.get('study')}/{facts.get('name')}")
    )


def _facts(store: Store, run: str) -> dict[str, Any]:
    """Return what a sweep is called; one whose file cannot be read has no name, and hides no other."""
    try:
        return read_json(folder(store, run) / FACTS)
    except RecordError:
        # Nothing instead of an error: a sweep that came damaged by a merge must not hide the sound ones.
        return {}


def require(store: Store, text: str) -> SweepRecord:
    """Return the sweep that `text` means; raises `RecordError` with near names where there is none."""
    found = find(store, text)
    if found is None:
        known = {str(_facts(store, run).get("name")) for run in names(store)} - {"None"}
        do = suggestion(text, known) if known else "`workbench sweep FILE` makes one"
        raise RecordError(f"no sweep {text!r}", where=store.root, do=do)
    return found


def newest(store: Store, study: str, name: str) -> SweepRecord | None:
    """Return the newest sweep of a study by its name, None where there is none."""
    return _newest(store, lambda facts: (facts.get("study"), facts.get("name")) == (study, name))


def _newest(store: Store, fits: Callable[[Mapping[str, Any]], bool]) -> SweepRecord | None:
    """Return the newest sweep whose facts fit: one that is done again takes the place of the older one."""
    # No further than the first that fits: each one asked costs a file.
    run = next((run for run in reversed(names(store)) if fits(_facts(store, run))), None)
    return read(store, run) if run else None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; raises `RecordError` where there is none."""
    try:
        found = safe_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot be read: {error}", where=path, do=REPAIR) from error
    if not isinstance(found, dict):
        raise RecordError("holds no object", where=path, do=REPAIR)
    return found
