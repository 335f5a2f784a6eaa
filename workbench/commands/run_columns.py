"""The columns that a list of runs can have and be sorted by: what is known of a run, its settings, its metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from workbench import names
from workbench.errors import InputError, suggestion
from workbench.spec import labels
from workbench.tracking.best import best_values
from workbench.tracking.branch_history import all_rows
from workbench.tracking.reader_notes import read_notes
from workbench.tracking.rows import StartRecord
from workbench.tracking.runs import RunState
from workbench.tracking.store import Store
from workbench.train.progress import duration

OWN = (
    "run",
    "study",
    "name",
    "seed",
    "title",
    "from",
    "status",
    "epochs",
    "best",
    "started",
    "time",
    "host",
    "id",
    "tags",
    "note",
)
SECOND = len("20260101T000000Z")  # of a run's name: when it was named
UNNAMED = re.compile(r"stages\.(\d+)\.name=stage \1")  # of imported records that do not name their stages


def begun(state: RunState) -> tuple[str, float]:
    """Return what puts runs into the order of their starts: those of one second have names in no order."""
    return state.run[:SECOND], state.start.time if state.start else 0.0


def parameters(state: RunState) -> dict[str, Any]:
    """Return a run's parameters, places of execution and the numbers that stand for names of stages left out."""
    start = state.start
    return without_places(start.parameters) if start is not None and not _is_sweep(start) else {}


def without_places(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without places of execution and without numbers that stand for names of stages."""
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("devices") and not UNNAMED.fullmatch(f"{name}={value}")
    }


class Columns:
    """What can be shown of some runs, by name, as text and as what they are sorted by."""

    def __init__(self, store: Store, states: Sequence[RunState]) -> None:
        self.store = store
        settings = dict.fromkeys(name for state in states for name in parameters(state))
        self.settings = {short: name for name, short in labels.short_names(settings, settings).items()}
        self.settings |= {name: name for name in settings}
        self._best = {state.run: best_values(all_rows(state.journal)) for state in states}
        self.metrics = list(dict.fromkeys(name for best in self._best.values() for name in best))

    def named(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that a user named; raises `InputError` with near names for one that is none."""
        return [self._known(name.strip(), "--columns") for name in columns if name.strip()]

    def filled(self, columns: Iterable[str], states: Sequence[RunState]) -> list[str]:
        """Return those of the columns in which some run has something."""
        return [name for name in columns if any(self.text(state, name) for state in states)]

    def sorted(self, states: Sequence[RunState], column: str, reverse: bool) -> list[RunState]:
        """Return the runs by a column: best metrics first, what has no value last."""
        column = self._known(column, "--sort")
        found = [(state, self._key(state, column)) for state in states]
        there = [one for one in found if one[1] is not None]
        there.sort(key=lambda one: _comparable(one[1]))
        ordered = [state for state, _ in (reversed(there) if reverse else there)]
        return [*ordered, *(state for state, key in found if key is None)]

    def _known(self, name: str, where: str) -> str:
        every = [*OWN, *self.metrics, *self.settings]
        if name not in every:
            raise InputError(f"no column {name!r}", where=where, do=suggestion(name, every))
        return name

    def text(self, state: RunState, column: str) -> str:
        """Return a cell as it is shown."""
        if column in OWN:
            return _own_text(self.store, state, column, self._best.get(state.run, {}))
        best = self._best.get(state.run, {}).get(column)
        if best is not None:
            return f"{best['value']:.4f} @{best['epoch']}"
        name = self.settings.get(column, "")
        value = parameters(state).get(name)
        return "" if value is None and column in self.metrics else labels.value_text(value)

    def _key(self, state: RunState, column: str) -> Any:
        best = self._best.get(state.run, {})
        if column == "started":
            return begun(state)
        if column == "seed":
            return state.start.seed if state.start else None
        if column == "time":
            return _seconds(state)
        if column == "best":
            column = _counting(state, best) or ""
        if column in best:
            value = float(best[column]["value"])
            return names.badness(value, names.lower_is_better(column))
        if column == "epochs":
            return _last_epoch(state)
        if column in OWN:
            return _own_text(self.store, state, column, best) or None
        return parameters(state).get(self.settings.get(column, ""))


def _comparable(value: Any) -> tuple[int, Any]:
    """Return a value as others of its column can be compared with it: numbers before texts."""
    if isinstance(value, (bool, int, float)):
        return (0, float(value))
    return (1, value if isinstance(value, tuple) else (labels.value_text(value), 0.0))


def _own_text(store: Store, state: RunState, column: str, best: dict[str, dict[str, float]]) -> str:
    start = state.start
    if column in ("run", "status"):
        return str(getattr(state, column))
    if column in ("tags", "note"):
        kept = read_notes(store, state.run)
        return kept.words() if column == "tags" else kept.note
    if start is None:
        return "?" if column in ("study", "name", "epochs") else ""
    if column in ("study", "name", "id", "host"):
        return str(getattr(start, column))
    if column == "seed":
        unknown = names.TAG_IMPORTED in start.tags and "seed" not in start.parameters
        return "" if unknown or _is_sweep(start) else str(start.seed)
    if column == "title":
        return start.title
    if column == "started":
        return datetime.fromtimestamp(start.time).astimezone().strftime("%Y-%m-%d %H:%M")
    if column == "time":
        seconds = _seconds(state)
        return "" if seconds is None else duration(seconds)
    if column == "epochs":
        return f"{_last_epoch(state)}/{sum(int(stage['epochs']) for stage in start.stages)}"
    return _origin(state, start) if column == "from" else _best(state, start, best)


def _is_sweep(start: StartRecord) -> bool:
    return start.tags.get(names.TAG_KIND) == names.SWEEP


def _origin(state: RunState, start: StartRecord) -> str:
    """Return the run that this one repeats or grew from: `rerun of 2ea2dcb1`, `branch of 787782fe`."""
    again, trunk = start.tags.get(names.TAG_RERUN), state.journal.trunk
    if again:
        return f"rerun of {again[-8:]}"
    return f"branch of {trunk['run'][-8:]}" if trunk else ""


def _last_epoch(state: RunState) -> int:
    rows = all_rows(state.journal)
    return rows[-1].epoch if rows else 0


def _seconds(state: RunState) -> float | None:
    rows = all_rows(state.journal)
    found = sum(row.seconds for row in rows)
    return found if rows and math.isfinite(found) else None


def _counting(state: RunState, best: dict[str, dict[str, float]]) -> str | None:
    """Return the metric by which a run is judged: what its spec or sweep says, else the usual one."""
    start = state.start
    said = (start.tags.get(names.TAG_OBJECTIVE) or start.parameters.get("select"),) if start else ()
    return names.metric_that_counts(best, said)


def _best(state: RunState, start: StartRecord, best: dict[str, dict[str, float]]) -> str:
    """Return the best of the selecting metric and of the sets: `lfw 0.9822 @38`, 1-based epochs."""
    if _is_sweep(start):  # its epochs are trials
        target = start.tags.get(names.TAG_OBJECTIVE, "")
        return f"{target} {best[target]['value']:.4f}" if target in best else ""
    sets = [name for name in best if names.is_evaluation(name)]
    counting = _counting(state, best)
    if counting is None or counting in sets or not sets:
        chosen = sets or [name for name in (counting,) if name in best]
        return ", ".join(f"{name} {best[name]['value']:.4f} @{best[name]['epoch']}" for name in chosen)
    # The sets choose no epoch of such a run: what they were at the epoch that its own selector chose.
    epoch = best[counting]["epoch"]
    there = next(row.metrics for row in all_rows(state.journal) if row.epoch == epoch)
    values = [f"{name} {there[name]:.4f}" for name in sets if name in there]
    return ", ".join([f"{counting} {best[counting]['value']:.4f} @{epoch}", *values])
