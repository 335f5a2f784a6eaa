"""What the runner calls to record a run; training waits for the journal's fsync and nothing else.

    start = StartRecord(run=new_run_name(), id=experiment.id, study="margin", name="baseline", ...,
                        parameters=experiment.parameters())
    with Tracker.open(store, start, views=default_views(store), texts={"spec.py": source}) as tracker:
        for every epoch:
            tracker.epoch(EpochRecord(stage=1, stage_epoch=1, epoch=1, step=500, metrics={...}, seconds=61.2))
            ... save the state; when it is durable, from any thread:
            tracker.checkpoint(CheckpointRecord(epoch=1, file="...", digest="..."))   # shows the row too
        tracker.artifact("scores.npz", path=file)       # any time before the end
        tracker.end("finished")                         # or failed, killed, stopped and a reason

To resume, the same with the old `run` and `from_epoch=` the epoch after the checkpoint; the number of
the attempt is counted here. Without checkpoints call `tracker.publish(epoch)` after `epoch`.

A thread syncs the views (MLflow, TensorBoard) with the journal. A view that cannot be reached
is reported once; training goes on, each epoch tries again, and `workbench sync` does what is left.

All that is recorded passes through here, so this is where secrets are taken out of it (`masking`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from workbench.errors import RecordError, StoreError
from workbench.names import FAILED, RUNNING, declare_recorded
from workbench.security.masking import mask, masked, secrets_in
from workbench.tracking.branch_history import shared_rows
from workbench.tracking.history import FILE as HISTORY
from workbench.tracking.history import history_text
from workbench.tracking.journal import Journal, JournalWriter, read_journal
from workbench.tracking.origin import sealed
from workbench.tracking.rows import CheckpointRecord, EndRecord, EpochRecord, Record, StartRecord
from workbench.tracking.store import OUTPUT, Store
from workbench.tracking.sync_thread import Say, SyncThread, View, keep_artifact, say_on_stderr

CLOSE_SECONDS = 30.0
CODE = (".py", ".diff")
READABLE = re.compile(rb"[\x20-\x7e]{8,}")


class Tracker:
    """Records one attempt of one run. Its methods may be called from any thread."""

    def __init__(
        self, store: Store, journal: Journal, writer: JournalWriter, views: list[View], say: Say
    ) -> None:
        self.store, self.journal = store, journal
        self._writer, self._say = writer, say
        self._lock = threading.Lock()
        self._sync_thread = SyncThread(store, journal.run, views, self._snapshot, say)
        self._shared = shared_rows(journal)
        self._shown = 0  # epochs up to here may be shown
        self._in_sync: bool | None = None  # what `close` found

    @classmethod
    def open(
        cls,
        store: Store,
        start: StartRecord,
        *,
        views: list[View],
        texts: Mapping[str, str] | None = None,
        say: Say = say_on_stderr,
    ) -> Tracker:
        """Begin an attempt: lock the journal, keep `texts` (name: content) beside it, write `start`.

        Raises StoreError when the journal cannot be written and RecordError when another process is
        writing this run. Whether a server answers is found out later, in the thread.
        """
        store.refuse_links(start.run)
        writer = JournalWriter(store.journal(start.run))
        try:
            # Read under the lock: the number of the attempt must not be taken by two processes.
            journal = read_journal(writer.path) if writer.path.exists() else Journal(writer.path)
            if journal.unreadable:
                raise RecordError(journal.unreadable, where=writer.path)
            # The texts lie beside the journal before the row that names them.
            row = _first_row(store, start, journal.attempt + 1, texts or {})
            writer.append(row)
        except BaseException as error:
            writer.close()
            _forget(store, start.run)
            if isinstance(error, OSError):
                raise StoreError(
                    f"cannot be written: {error.strerror}",
                    where=store.root,
                    do="make space or choose another --store",
                ) from error
            raise
        # Kept in memory beside the file: each epoch asks for the history, and reading it back grows with the run.
        journal.rows.append(row)
        tracker = cls(store, journal, writer, views, say)
        # After the row is durable: the first thing that views show must never be lost.
        tracker._sync_thread.start()
        return tracker

    @property
    def run(self) -> str:
        return self.journal.run

    @property
    def attempt(self) -> int:
        return self.journal.attempt

    def history(self) -> list[EpochRecord]:
        """Return the run's accepted epochs from epoch 1 on, those that a branch shares with its trunk included."""
        with self._lock:
            own = self.journal.accepted()
        return [*self._shared, *own]

    def stop_after(self, epoch: int) -> str:
        """Return why the training ends after `epoch` of this run, as its row says; "" where it goes on."""
        with self._lock:
            own = self.journal.accepted()  # a branch goes on where its trunk was stopped
        return next((row.stop for row in own if row.epoch == epoch), "")

    def epoch(self, record: EpochRecord) -> None:
        """Make an epoch's row durable. It is shown once `checkpoint` or `publish` says so."""
        self._append(record)

    def checkpoint(self, record: CheckpointRecord) -> None:
        """Record that the state after `record.epoch` is durable, and show the rows up to it."""
        self._append(record)
        self.publish(record.epoch)

    def publish(self, epoch: int) -> None:
        """Let the views show the rows up to `epoch`; returns at once."""
        self._shown = max(self._shown, epoch)
        self._sync_thread.wake()

    def artifact(self, name: str, *, path: str | Path | None = None, text: str | bytes | None = None) -> Path:
        """Keep a file with the run under `name` (a relative path); views get it at the next row.

        A `path` is linked where the file system allows, else copied: do not change it afterwards. Secrets
        in a text are masked; any other file that holds one is not kept, which is said.
        """
        content = text.encode() if isinstance(text, str) else text or b""
        # Read whole before anything is kept: a secret may stand at the file's end.
        given = Path(path).read_bytes() if path is not None else content
        clean = without_secrets(given)
        if clean is None:
            self._say(f"{name} holds a secret ({', '.join(secrets_in(readable(given)))}): not kept")
            return self.store.run_artifacts(self.run) / name
        kept = Path(path) if path is not None and clean is given else clean
        return keep_artifact(self.store, self.run, name, kept)

    def end(
        self, status: str, reason: str = "", *, final_epoch: int | None = None, moment: float | None = None
    ) -> None:
        """Record how the attempt ended and keep `history.json`. See EndRecord for `final_epoch`.

        `moment` (seconds since 1970) is when it ended, by default now.
        """
        try:
            # Before the end row: whoever sees a finished run finds its history beside it.
            self.artifact(HISTORY, text=history_text(self.history()))
        except OSError as error:  # a full disk: the end itself is what must be recorded
            self._say(f"{HISTORY} could not be kept: {error.strerror}; `workbench sync` makes it later")
        ended = time.time() if moment is None else moment
        self._append(EndRecord(status=status, reason=reason, final_epoch=final_epoch, time=ended))
        self._sync_thread.wake()

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait at most `timeout` seconds for the views, give the lock back, and return whether they are in sync.

        When they are not, the screen says that `workbench sync` does the rest.
        """
        if self._in_sync is None:
            self._in_sync = self._sync_thread.stop(timeout)
            # One lock for rows and file: the saver's thread records checkpoints while the training records epochs.
            with self._lock:
                self._writer.close()
        return self._in_sync

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self.journal.end is None:
                self.end(FAILED, f"{type(error).__name__}: {error}")
        finally:
            self.close()

    def _append(self, record: Record) -> None:
        with self._lock:
            row = dataclasses.replace(record, attempt=self.journal.starts[-1].attempt)
            if isinstance(row, EndRecord):
                row = dataclasses.replace(row, reason=mask(row.reason))
            elif isinstance(row, EpochRecord) and row.stop:
                row = dataclasses.replace(row, stop=mask(row.stop))
            if self.journal.end is not None:
                raise RecordError("has ended: no row follows its end", where=self.run)
            # Before each row: whoever removed the file would otherwise collect rows that no name leads to.
            happened = self._writer.lost_file()
            if happened:
                self._writer.recreate(self.journal.rows)
            self._writer.append(row)
            self.journal.rows.append(row)
        # Said outside the lock: the screen may be slow, and may itself want to record something.
        if happened:
            self._say(
                f"the journal of run {self.run} was {happened} while it was written; it is kept in a new one"
            )

    def _snapshot(self) -> tuple[Journal, list[EpochRecord], str]:
        """Return the journal as it is now, the epochs to show and the status."""
        with self._lock:
            # A copy: the view's thread reads it while the next row is appended.
            journal = Journal(self.journal.path, list(self.journal.rows), self.journal.damage)
        # What earlier attempts have shown stays shown, whatever this attempt has published so far.
        durable = {row.epoch for row in journal.published()}
        rows = [row for row in journal.accepted() if row.epoch <= self._shown or row.epoch in durable]
        return journal, rows, journal.end.status if journal.end else RUNNING


def _first_row(store: Store, start: StartRecord, attempt: int, texts: Mapping[str, str]) -> StartRecord:
    """Keep the attempt's `texts` beside the journal and return the row that names them."""
    declare_recorded(start.parameters, start.tags)
    prefix = "" if attempt == 1 else f"attempt-{attempt}/"
    kept = {}
    for name, text in texts.items():
        kept[prefix + name] = mask(text, code=name.endswith(CODE)).encode()
        keep_artifact(store, start.run, prefix + name, kept[prefix + name])
    row = dataclasses.replace(clean_start(start), attempt=attempt, files=(*start.files, *kept))
    return sealed(store, row, kept)


def clean_start(start: StartRecord) -> StartRecord:
    """Return a start row without secrets; one whose spec held some says so, for a resume needs them."""
    fields = {part.name: getattr(start, part.name) for part in dataclasses.fields(start)}
    # Field by field, with its name: a setting called `token` is a secret whatever its value looks like.
    clean = {name: masked(value, name) for name, value in fields.items()}
    if clean["spec"] != start.spec:
        clean["provenance"] = {**clean["provenance"], "masked": True}
    return StartRecord(**clean)


def without_secrets(content: bytes) -> bytes | None:
    """Return a file's content as it may be kept: texts masked, `content` itself where nothing is secret.

    None for a file that is not text and holds a secret: it cannot be changed without breaking it.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None if secrets_in(readable(content)) else content
    clean = mask(text)
    return content if clean == text else clean.encode()


def readable(content: bytes) -> str:
    """Return the runs of readable letters within a file that is not text, a line each."""
    return "\n".join(run.decode("ascii") for run in READABLE.findall(content))


def _forget(store: Store, run: str) -> None:
    """Remove what a run left that could not even be started; what it printed stays, where that is kept."""
    folder = store.run_folder(run)
    if store.journal(run).exists():
        return
    for path in folder.iterdir() if folder.is_dir() else ():
        # Only what this attempt began; what a run's process printed is the one trace of why it could not start.
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != OUTPUT:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
