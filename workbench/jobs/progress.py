"""What a person sees of a queue: a live table on a terminal, one plain line an event elsewhere.

Both read how far a run is from its own journal, so they show the same wherever the run works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from workbench import names
from workbench.files import read_end
from workbench.jobs.estimate import Costs
from workbench.jobs.scheduler import ProgressReporter, Work
from workbench.security.visible_text import console, markup, visible
from workbench.tracking.journal import read_journal, rows_from_end
from workbench.tracking.rows import EpochRecord, StartRecord
from workbench.tracking.runs import read_state
from workbench.tracking.store import OUTPUT, Store
from workbench.train.progress import duration, values_line

POLL_SECONDS = 1.0  # between two looks at the journals
TAIL_BYTES = 4000  # of a run's output, for its last words
WORDS = {0: "done", 1: "failed", 2: "refused", 75: "stopped", 130: "stopped"}


def log_of(store: Store, run: str) -> Path:
    """Return the file that takes what a run's own process prints."""
    return store.run_folder(run) / OUTPUT


class PlainProgress(ProgressReporter):
    """Lines: each start, each epoch that is seen, each end with its reason."""

    def __init__(self, store: Store, stream: TextIO, runs: int, costs: Costs) -> None:
        self.store, self.stream, self.runs, self.costs = store, stream, runs, costs
        self.after: Callable[[str], object] = lambda run: None  # called with the name of each run that ended
        self._next = 0.0
        self._rows: dict[str, EpochRecord] = {}  # the newest epoch of each run
        self._sizes: dict[str, int] = {}  # of the journals when they were read

    def say(self, text: str) -> None:
        """Show one line."""
        self.stream.write(text + "\n")
        self.stream.flush()

    def started(self, work: Work) -> None:
        known = self.costs.known(work.task)
        words = "resumed" if work.task.resume else "begun"
        about = f"  about {duration(known)}" if known else ""
        self.say(f"{self._number(work)} {words}  {work.task.run}  {work.task.title}  on {work.place}{about}")

    def ended(self, work: Work, status: int) -> None:
        self._read(work)
        row, spent = self._rows.get(work.task.run), duration(time.monotonic() - work.began)
        values = f"  {values_line(row.metrics)}" if row and status == 0 else ""
        self.say(f"{self._number(work)} {WORDS.get(status, 'failed')} in {spent}  {work.task.title}{values}")
        if status in (1, 2):
            self.say(f"{self._number(work)} {self._why(work.task.run)}")
        self._next = 0.0  # a live table shows it at once
        self.after(work.task.run)

    def _why(self, run: str) -> str:
        journal, log = self.store.journal(run), log_of(self.store, run)
        if journal.exists() and read_state(self.store, run).status == names.INTERRUPTED:
            return f"its process was killed; `workbench resume {run}` goes on"
        return f"{reason(log)}  (all of its output: {log})"

    def update(self, working: Sequence[Work], waiting: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + POLL_SECONDS
            self._show(working, waiting, [work for work in working if self._read(work)])

    def _show(self, working: Sequence[Work], waiting: int, changed: Sequence[Work]) -> None:
        for work in changed:
            row = self._rows[work.task.run]
            self.say(f"{self._number(work)} epoch {_progress(work, row)}  {values_line(row.metrics)}")

    def _number(self, work: Work) -> str:
        return f"[{work.number}/{self.runs}]"

    def _read(self, work: Work) -> bool:
        """Take up the newest epoch of a run from its journal; tell whether it is new."""
        journal = self.store.journal(work.task.run)
        size = journal.stat().st_size if journal.exists() else 0
        if size == self._sizes.get(work.task.run):
            return False
        self._sizes[work.task.run] = size
        row = newest_epoch(journal)
        if row is None or row == self._rows.get(work.task.run):
            return False
        self._rows[work.task.run] = row
        return True


class LiveProgress(PlainProgress):
    """A table of what is at work, drawn anew below the lines of what began and ended."""

    def __init__(self, store: Store, stream: TextIO, runs: int, costs: Costs) -> None:
        from rich.live import Live

        super().__init__(store, stream, runs, costs)
        self._console = console(stream, highlight=False)
        # No thread draws: a process that starts children by `fork` had better have none.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def say(self, text: str) -> None:
        self._console.print(visible(text), markup=False, soft_wrap=True)

    def _show(self, working: Sequence[Work], waiting: int, changed: Sequence[Work]) -> None:
        self._live.update(self._table(working, waiting), refresh=True)

    def close(self) -> None:
        self._live.update("", refresh=True)
        self._live.stop()

    def _table(self, working: Sequence[Work], waiting: int) -> Any:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, caption_justify="left")
        table.caption = f"{waiting} waiting" if waiting else None
        for title in ("", "run", "what", "on", "epoch", "newest values", "so far", "left"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for work in working:
            row = self._rows.get(work.task.run)
            values = _few(row.metrics) if row else "starting"
            left = row.seconds * max(0, work.task.variant.experiment.epochs - row.epoch) if row else None
            cells = (
                self._number(work).strip("[]"),
                work.task.run,
                work.task.title,
                work.place,
                _progress(work, row),
                values,
                duration(time.monotonic() - work.began),
                duration(left) if left is not None else "",
            )
            table.add_row(*map(markup, cells))
        return table


def newest_epoch(journal: Path) -> EpochRecord | None:
    """Return the last epoch that a journal accepts, mostly from its end alone; None before the first."""
    if not journal.exists():
        return None
    last = next((row for row in rows_from_end(journal) if isinstance(row, (EpochRecord, StartRecord))), None)
    if isinstance(last, EpochRecord):
        return last
    # A new attempt may have superseded what stands before it.
    rows = read_journal(journal).accepted()
    return rows[-1] if rows else None


def _progress(work: Work, row: EpochRecord | None) -> str:
    return f"{row.epoch if row else 0}/{work.task.variant.experiment.epochs}"


def _few(metrics: Any) -> str:
    shown = [name for name in metrics if names.is_evaluation(name)][:2]
    return values_line(
        {name: metrics[name] for name in (names.LOSS, names.ACCURACY, *shown) if name in metrics}
    )


def reason(log: Path) -> str:
    """Return why a process ended, from the end of what it printed: its error line, else its last line."""
    try:
        text = read_end(log, TAIL_BYTES).decode(errors="replace")
    except OSError:
        return "it left no output"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it left no output"])[-1]
