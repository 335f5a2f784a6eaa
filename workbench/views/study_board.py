"""TensorBoard of some runs alone, in a folder of its own that is made from the journals and kept up to date.

The HParams tab shows the settings that vary among these runs, and the best values that all of them have, the objective
first. A run without a setting has `off` there: parallel coordinates leave a run out that lacks one of the axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.names import BEST_PREFIX, SWEEP, TAG_KIND, has_best
from workbench.spec.labels import OFF, value_text
from workbench.tracking.rows import StartRecord, plain
from workbench.tracking.store import Store
from workbench.views import shown_runs
from workbench.views.links import board_title
from workbench.views.mlflow_values import safe_name
from workbench.views.shown_runs import ShownRun
from workbench.views.tensorboard import KINDS, SYNC_MARK, TensorBoardView, write_configuration

Value = bool | float | str


@dataclass(frozen=True)
class Columns:
    """The HParams tab of some runs: values by run and setting, and the tags of metrics in their order."""

    settings: dict[str, dict[str, Value]]
    metrics: tuple[str, ...]

    def configuration(self) -> dict[str, Any]:
        """Return what the tab is configured with."""
        names = dict.fromkeys(name for row in self.settings.values() for name in row)
        return {
            "settings": {name: self._entry([row[name] for row in self.settings.values()]) for name in names},
            "metrics": list(self.metrics),
        }

    def _entry(self, values: Sequence[Value]) -> dict[str, Any]:
        kind = KINDS[type(values[0])]
        different = list(dict.fromkeys(values))
        domain = (
            {"min": min(different), "max": max(different)} if kind == "float64" else {"values": different}
        )
        return {"type": kind, "domain": domain, "differs": True}


def columns(shown: Sequence[ShownRun]) -> Columns:
    """Return the columns for some runs: each setting has one type, and a value in every run."""
    parameters = [dict(one.start.parameters) for one in shown]
    names = shown_runs.varying(parameters)
    if len({one.start.seed for one in shown}) > 1:
        names.append("seed")
    typed = {name: _typed([plain(row.get(name)) for row in parameters]) for name in names}
    settings = {
        one.start.run: {name: typed[name][place] for name in names} for place, one in enumerate(shown)
    }
    known = shown_runs.metrics(shown)
    kept = [f"{BEST_PREFIX}{name}" for name in known if has_best(name)]
    return Columns(settings, tuple(shown_runs.best_tags(known, shown_runs.objective_of(shown), kept)))


def _typed(values: Sequence[Any]) -> list[Value]:
    """Return one setting's values in one type: numbers, truth values, else texts."""
    if all(isinstance(value, bool) for value in values):
        return list(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values]
    return [OFF if value is None else value_text(value) for value in values]


class StudyView(TensorBoardView):
    """One run of the board: its scalars as in the store's TensorBoard, its settings as the board says."""

    def __init__(self, store: Store, root: Path, settings: dict[str, Value], name: str) -> None:
        super().__init__(store, root)
        self._values, self._title = settings, name

    def configure(self, start: StartRecord, metrics: set[str]) -> None:
        """Leave the configuration to the board, which knows all runs."""

    def folder(self, start: StartRecord) -> Path:
        return self.root / safe_name(self._title)

    def settings(self, start: StartRecord) -> dict[str, Value]:
        return self._values

    def group(self, start: StartRecord) -> str:
        return self._title


class StudyBoard:
    """The board in `root`; `refresh` syncs it from the journals."""

    def __init__(self, store: Store, words: Sequence[str], root: Path) -> None:
        self.store, self.words, self.root = store, tuple(words), root
        self.titles: dict[str, str] = {}
        self._columns: Columns | None = None
        self._views: dict[str, StudyView] = {}
        self._seen: dict[str, tuple[int, int, str]] = {}

    def refresh(self) -> bool:
        """Write what is new in the journals, new runs of the studies among them; tell whether anything was."""
        shown = shown_runs.read(self.store, shown_runs.chosen(self.store, self.words))
        shown = [one for one in shown if one.start.tags.get(TAG_KIND) != SWEEP]
        found = columns(shown)
        if found != self._columns:
            self._begin(found, shown)
        new = False
        for one in shown:
            mark = (len(one.journal.rows), len(one.rows), one.status)
            if self._seen.get(one.start.run) != mark:
                self._views[one.start.run].sync(one.journal, list(one.rows), one.status)
                self._seen[one.start.run], new = mark, True
        return new

    def folder(self, run: str) -> Path:
        """Return the folder of one of the runs shown."""
        return self.root / safe_name(self.titles[run])

    def close(self) -> None:
        """Close the files; the folder is the caller's to remove."""
        for view in self._views.values():
            view.close()

    def _begin(self, found: Columns, shown: Sequence[ShownRun]) -> None:
        """Begin anew with other columns: a session tells its settings in its first event only."""
        self.close()
        self.root.mkdir(parents=True, exist_ok=True)
        self._columns, self._seen = found, {}
        self.titles = _titles(shown)
        write_configuration(self.root, found.configuration())
        for title in self.titles.values():
            (self.root / safe_name(title) / SYNC_MARK).unlink(missing_ok=True)
        self._views = {
            run: StudyView(self.store, self.root, found.settings[run], title)
            for run, title in self.titles.items()
        }


def _titles(shown: Sequence[ShownRun]) -> dict[str, str]:
    """Return what each run is called: `name-seed`, with the run's own name behind it where two would be equal."""
    several = len({one.start.study for one in shown}) > 1
    names = {one.start.run: f"{one.start.study}_" * several + board_title(one.start) for one in shown}
    taken = list(names.values())
    return {run: name if taken.count(name) == 1 else f"{name}.{run[-8:]}" for run, name in names.items()}
