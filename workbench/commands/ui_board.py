"""What TensorBoard shows in `workbench ui`: the whole store, or chosen runs alone and what was asked for of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from workbench.errors import InputError, SpecError
from workbench.tracking.journal import first_start
from workbench.tracking.store import Store
from workbench.views.study_board import StudyBoard


@dataclass(frozen=True)
class BoardOptions:
    """What is asked for beside curves and settings; it takes the runs' data, and for the projector their networks."""

    errors: bool = False
    learning_rate: bool = False
    projector: bool = False
    trust_code: bool = False

    @property
    def any(self) -> bool:
        return self.errors or self.learning_rate or self.projector

    def refuse_without(self, what: Sequence[str]) -> None:
        """Raise `SpecError` where something is asked for of no run in particular."""
        if self.any and not what:
            option = "--errors" if self.errors else "--projector" if self.projector else "--learning-rate"
            raise SpecError(f"{option} of which run?", do=f"name it: workbench ui RUN {option}")


@dataclass
class BoardPage:
    """A folder for TensorBoard, the tab to open, and the study that MLflow's page is to show."""

    root: Path
    tab: str = "hparams"
    study: str | None = None
    runs: StudyBoard | None = None
    _last: float = field(default_factory=time.monotonic)

    def keep_up(self, seconds: float) -> None:
        """Sync the runs from their journals, at most every `seconds`."""
        if self.runs is None or time.monotonic() < self._last + seconds:
            return
        self._last = time.monotonic()
        try:
            self.runs.refresh()
        except (InputError, OSError) as error:  # a run taken away meanwhile: the pages stay as they are
            click.echo(f"note: {error}", err=True)


@contextmanager
def board_of(store: Store, what: Sequence[str], options: BoardOptions) -> Iterator[BoardPage]:
    """Give the board of the whole store, or that of the chosen runs, which is gone afterwards."""
    if not what:
        yield BoardPage(store.tensorboard)
        return
    with tempfile.TemporaryDirectory(prefix="workbench-ui-", ignore_cleanup_errors=True) as folder:
        runs = StudyBoard(store, what, Path(folder) / "runs")
        runs.refresh()
        if not runs.titles:
            raise InputError("no training among them", where=" ".join(what), expected="a study or a run")
        _add(runs, options)
        try:
            yield BoardPage(runs.root, tab_of(options), newest_study(store, list(runs.titles)), runs)
        finally:
            runs.close()


def tab_of(options: BoardOptions) -> str:
    """Return the tab of TensorBoard that shows what was asked for."""
    if options.projector:
        return "projector"
    return "images" if options.errors else "timeseries" if options.learning_rate else "hparams"


def newest_study(store: Store, runs: Sequence[str]) -> str | None:
    """Return the study of the last of `runs`, the oldest first, that has one; None where there is none."""
    starts = (first_start(store.journal(run)) for run in reversed(runs))
    return next((start.study for start in starts if start is not None), None)


def _add(runs: StudyBoard, options: BoardOptions) -> None:
    """Write what was asked for of each run; what one run cannot show is said and the others are shown."""
    if not options.any:
        return
    from workbench.commands import ui_extras

    for run in runs.titles:
        kinds = (
            (options.errors, ui_extras.add_errors),
            (options.learning_rate, ui_extras.add_learning_rate),
            (options.projector, ui_extras.add_embeddings),
        )
        for is_on, add in kinds:
            try:
                if is_on:
                    add(runs.store, run, runs.folder(run), options.trust_code)
            except InputError as error:
                click.echo(f"note: {error}", err=True)
