"""The thread that keeps the views of a run in sync with its journal, so that training waits for none.

Whatever a store does (refuse, hang, fill up), the training goes on: the thread says once that a view
is out of reach, tries again at each new row, and says when it answers again.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from workbench.files import link_or_copy, replacing
from workbench.security.foreign_names import within
from workbench.security.masking import mask
from workbench.tracking.journal import Journal
from workbench.tracking.locks import views_of_run
from workbench.tracking.rows import EpochRecord
from workbench.tracking.store import Store

Say = Callable[[str], None]
LONGEST_REASON = 400
# Python's threads hand over after 5 ms by default: a training that comes back from its fsync while a
# view is being written would wait that long for its turn.
SWITCH_SECONDS = 0.0005
CAUSES = (  # where the libraries below MLflow say what went wrong, amid much else
    re.compile(r"\(sqlite3\.\w+\) (.+?)(?: \[SQL|$)"),
    re.compile(r"\[Errno \d+\] (.+?)[\"')]"),
    re.compile(r"Error\(\d+, '(.+?)'\)"),
    re.compile(r"(Read timed out)"),
)


class View(Protocol):
    """A back end that can be synced with a journal."""

    name: str
    address: str
    changes: int  # writes so far; unchanged by a `sync` that found nothing to do

    def sync(self, journal: Journal, rows: list[EpochRecord], status: str) -> None: ...

    def close(self) -> None: ...


def say_on_stderr(line: str) -> None:
    """Say a line where no screen was handed in."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class SyncThread:
    """The thread that keeps the views in sync, and the one place that speaks when one is out of reach."""

    def __init__(
        self,
        store: Store,
        run: str,
        views: list[View],
        snapshot: Callable[[], tuple[Journal, list[EpochRecord], str]],
        say: Say,
    ) -> None:
        self._store, self._run, self._views = store, run, views
        self._snapshot, self._say = snapshot, say
        self._wanted = threading.Event()
        self._stopping = False
        self._behind: set[str] = {view.name for view in views}
        self._reported: set[str] = set()
        self._silent = False
        # A daemon: a store that hangs must not keep a finished training alive.
        self._thread = threading.Thread(target=self._work, name="workbench-views", daemon=True)

    def start(self) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        self._wanted.set()
        self._thread.start()

    def wake(self) -> None:
        self._wanted.set()

    def stop(self, timeout: float) -> bool:
        """Have everything written that is there now; False when not all was within `timeout`."""
        self._stopping = True
        self._wanted.set()
        # A limit, for a server that hangs: the journal has everything, and `workbench sync` does the rest.
        self._thread.join(timeout)
        self._silent = self._thread.is_alive()
        if self._silent or self._behind:
            behind = " and ".join(sorted(self._behind)) or "the views"
            self._say(
                f"{behind} of run {self._run} not in sync with its journal; `workbench sync` does the rest"
            )
            return False
        return True

    def _work(self) -> None:
        try:
            with ExitStack() as stack:
                held = False
                while True:
                    self._wanted.wait()
                    self._wanted.clear()
                    # Read after the flag is cleared and before the work: what is asked
                    # for during it gets a round of its own.
                    last = self._stopping
                    # Tried at each row again: a `workbench sync` that holds the views now lets go of them soon.
                    held = held or self._hold(stack)
                    if held:
                        self._sync_all()
                    if last:
                        break
        finally:
            for view in self._views:
                view.close()

    def _hold(self, stack: ExitStack) -> bool:
        """Become the one writer of this run's views; False, and said once, when that cannot be."""
        try:
            stack.enter_context(views_of_run(self._store, self._run))
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
            self._report("views", str(self._store.root), error)
            return False
        return True

    def _sync_all(self) -> None:
        journal, rows, status = self._snapshot()
        for view in self._views:
            # Behind until proven otherwise: a view that hangs never comes to the line that says it is in sync.
            self._behind.add(view.name)
            try:
                view.sync(journal, rows, status)
            except Exception as error:  # noqa: BLE001 - the same, and it is said
                self._report(view.name, view.address, error)
            else:
                self._behind.discard(view.name)
                if view.name in self._reported:
                    self._reported.discard(view.name)
                    self._say(f"{view.name} answers again and is in sync with the journal")

    def _report(self, name: str, address: str, error: Exception) -> None:
        """Say once an outage that a view is out of reach; nothing a store does may stop a training."""
        # Nothing after the last word: the process may be printing its final line, or be gone from its terminal.
        if name not in self._reported and not self._silent:
            self._reported.add(name)
            words = f"cannot be written: {reason(error)}; training goes on, the journal keeps every row"
            self._say(mask(f"{name} ({address}) {words}"))


def reason(error: BaseException) -> str:
    """Return what went wrong in a few words: the innermost cause, without statements and addresses."""
    text = " ".join(str(error).split()) or type(error).__name__
    for cause in CAUSES:
        found = cause.search(text)
        if found:
            return mask(found[1])
    return mask(text)[:LONGEST_REASON]


def keep_artifact(store: Store, run: str, name: str, content: bytes | Path) -> Path:
    """Put a file among a run's artifacts, whole or not at all, and return its path.

    Raises OSError when it cannot be written, and RecordError for a name that leads elsewhere.
    """
    target = within(store.run_artifacts(run), name, where=run, what="artifact")
    # Aside in the run's folder: what lies below `artifacts/`, however deep, is listed and sent to MLflow meanwhile.
    with replacing(target, temporary_in=store.run_folder(run)) as temporary:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            link_or_copy(content, temporary)
    return target
