"""The journal of a run: one checksummed line a row, flushed to disk before anything else happens.

A line is the CRC32 of the rest in 8 hex digits, a space, and one JSON object. Lines are only ever
appended. Whatever happened to the file (cut at any byte, bytes flipped), reading gives back every
row whose checksum still fits and names the other lines; a damaged line is never trusted.

The writer holds a lock on the journal itself (`flock`, freed by the kernel when the process dies),
so that a journal without an `end` row and without a lock is one of an interrupted run. A journal takes
its name with its first row: a process killed before that leaves no run behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.errors import RecordError, StoreError
from workbench.files import sync, write_all
from workbench.names import FINISHED, INTERRUPTED, RUNNING
from workbench.security.foreign_files import open_file, opened, read_file
from workbench.tracking.journal_file import file_state, open_locked, recreated
from workbench.tracking.journal_lines import Unreadable, decode_line, encode_line
from workbench.tracking.rows import (
    CheckpointRecord,
    EndRecord,
    EpochRecord,
    Record,
    StartRecord,
)

SUFFIX = ".jsonl"
LOCK_PATIENCE = 5.0  # seconds; a reader that asks for a run's status holds the lock for microseconds
RESERVE_BYTES = 65_536  # given back on a full disk, so that the reason can still be written
TAIL_BYTES = 65_536  # read first from the end: some hundred rows, while journals of long runs are megabytes


@dataclass(frozen=True)
class Damage:
    """A line (1-based) that was not trusted, and why."""

    line: int
    reason: str


@dataclass
class Journal:
    """What a journal says: `rows` in the order written, `damage` the lines not trusted.

    `unreadable` says why nothing of it is believed: then there are no rows.
    """

    path: Path
    rows: list[Record] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    unreadable: str = ""

    @property
    def run(self) -> str:
        return self.path.name.removesuffix(SUFFIX)

    @property
    def starts(self) -> list[StartRecord]:
        return [row for row in self.rows if isinstance(row, StartRecord)]

    @property
    def start(self) -> StartRecord | None:
        """The first attempt's start, which names the run; None when no start row is intact."""
        return next((row for row in self.rows if isinstance(row, StartRecord)), None)

    @property
    def trunk(self) -> Mapping[str, Any]:
        """What the newest attempt says of the trunk, `{"run", "epoch", "stage", "step"}`; empty for no branch."""
        return next((start.trunk for start in reversed(self.starts) if start.trunk), {})

    @property
    def attempt(self) -> int:
        """The number of the last attempt, 0 before the first."""
        return max((row.attempt for row in self.rows), default=0)

    @property
    def end(self) -> EndRecord | None:
        """The last attempt's end; None while it runs and after an interruption."""
        return _end(reversed(self.rows))

    def accepted(self) -> list[EpochRecord]:
        """Return the epochs that count, ascending: a later attempt supersedes what it repeats."""
        kept: list[EpochRecord] = []
        for row in self.rows:
            # A resumed attempt begins at `from_epoch`: what stood there before is trained again and counts no more.
            if isinstance(row, StartRecord):
                _drop(kept, row.from_epoch)
            elif isinstance(row, EpochRecord):
                _drop(kept, row.epoch)
                kept.append(row)
        return kept

    def checkpoint(self) -> CheckpointRecord | None:
        """Return the newest checkpoint that the accepted rows build on, or None."""
        kept: list[CheckpointRecord] = []
        for row in self.rows:
            if isinstance(row, StartRecord):
                _drop(kept, row.from_epoch)
            elif isinstance(row, CheckpointRecord):
                kept.append(row)
        return kept[-1] if kept else None

    def published(self) -> list[EpochRecord]:
        """Return the accepted epochs that views may show: those that no resume can supersede."""
        checkpoint, end = self.checkpoint(), self.end
        rows = self.accepted()
        # Nothing resumes a finished run, so that its last epoch is final without a checkpoint.
        if end is not None and end.status == FINISHED:
            return rows
        last = max(checkpoint.epoch if checkpoint else 0, (end.final_epoch or 0) if end else 0)
        return [row for row in rows if row.epoch <= last]


def _end(rows: Iterator[Record]) -> EndRecord | None:
    """Return the end with which a journal ends, of its rows from the last one back."""
    # States that became durable while the end was written may stand after it.
    last = next((row for row in rows if not isinstance(row, CheckpointRecord)), None)
    return last if isinstance(last, EndRecord) else None


def _drop(kept: list[EpochRecord] | list[CheckpointRecord], epoch: int) -> None:
    while kept and kept[-1].epoch >= epoch:
        kept.pop()


def read_journal(path: str | Path) -> Journal:
    """Return all complete rows of the journal at `path`; whatever else it holds is in `damage`.

    Raises RecordError when there is no such file or it cannot be read.
    """
    path = Path(path)
    try:
        data = read_file(path)
    except OSError as error:
        raise RecordError(f"cannot read the journal: {error.strerror}", where=path) from error
    return parse_journal(path, data)


def parse_journal(path: Path, data: bytes) -> Journal:
    """Return the journal whose file at `path` has the content `data`."""
    journal = Journal(path)
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        try:
            journal.rows.append(decode_line(line))
        except Unreadable as error:
            # The first of them is named; a record with one such line is not believed at all.
            journal.unreadable = journal.unreadable or f"line {number} says what no record can: {error}"
        except RecordError as error:
            journal.damage.append(Damage(number, str(error)))
    if journal.unreadable:
        journal.rows.clear()  # what else the same hand wrote cannot be distinguished from the truth
    return journal


def first_start(path: Path) -> StartRecord | None:
    """Return the start row with which a journal begins, reading no more than that; None if it is not sound."""
    try:
        with opened(path) as file:
            row = decode_line(file.readline().removesuffix(b"\n"))
    except (OSError, RecordError):
        return None
    return row if isinstance(row, StartRecord) else None


def status(path: str | Path) -> str:
    """Return the true state of a run: running, finished, failed, killed, stopped or interrupted.

    Reads the last line only, so asking for hundreds of runs is quick.
    """
    locked = is_locked(Path(path))  # asked before reading: a run may end between the two
    return status_of(_end(rows_from_end(Path(path))), locked)


def status_of(end: EndRecord | None, locked: bool) -> str:
    """Return the state of a run by its last attempt's end, and by whether its journal is locked."""
    return end.status if end else RUNNING if locked else INTERRUPTED


def is_locked(path: Path) -> bool:
    """Tell whether a live process holds the journal at `path`."""
    try:
        descriptor = open_file(path)
    except OSError:
        return False
    try:
        # Shared, so that many readers may ask at once and only a writer says no.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_for_lock(path: Path, seconds: float, poll: float = 0.2) -> bool:
    """Wait until nobody writes the journal at `path`; tell whether that was so within some seconds."""
    deadline = time.monotonic() + seconds
    while is_locked(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(poll)
    return True


def rows_from_end(path: Path) -> Iterator[Record]:
    """Yield the rows that can be trusted, the last first, reading as little of the file as is asked for.

    Raises RecordError where the file cannot be read.
    """
    try:
        with opened(path) as file:
            # In growing spans: an end row is short, a start row may be megabytes.
            begin, span, rest = file.seek(0, os.SEEK_END), TAIL_BYTES, b""
            while begin > 0:
                end, begin, span = begin, max(0, begin - span), span * 8
                file.seek(begin)
                lines = (file.read(end - begin) + rest).split(b"\n")
                # The first line of a span may have begun before it: it waits for the span before.
                rest = lines.pop(0) if begin else b""
                for line in reversed(lines):
                    with contextlib.suppress(RecordError):  # torn or damaged
                        yield decode_line(line)
    except OSError as error:
        raise RecordError(f"cannot read the journal: {error.strerror}", where=path) from error


class JournalWriter:
    """Appends rows to one journal, each durable when `append` returns.

    Opening locks the file; opening the journal of a resumed run changes no byte that is there, and
    ends a torn last line so that the next row starts on a line of its own. A new journal is there for
    others from its first row on.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._reserve = self.path.with_suffix(".d") / "reserve"
        # Locked before anything is read or written: two resumes of one run must not both believe they are first.
        self._descriptor, self._beginning = open_locked(self.path, LOCK_PATIENCE)
        self._size = os.fstat(self._descriptor).st_size
        try:
            with self._refusing():
                # A torn last line gets its line break: the next row must begin a line,
                # and the torn one stays as evidence.
                if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
                    self._write(b"\n")
                self._reserve.parent.mkdir(exist_ok=True)
                # Space held back while there is some: on a full disk the reason must still fit.
                self._reserve.write_bytes(b"\0" * RESERVE_BYTES)
        except StoreError:
            self.close()
            raise

    def append(self, record: Record) -> None:
        """Write `record` and wait until it is on disk.

        Raises StoreError when that fails; the file then ends where it ended before. For an `end` row
        on a full disk the space held back at the start is given up first.
        """
        line = encode_line(record)
        with self._refusing():
            try:
                self._write(line)
            except OSError as error:
                # Only for the end: an epoch that does not fit is lost anyway, and the reserve is there once.
                if not (isinstance(record, EndRecord) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
                    raise
                self._reserve.unlink(missing_ok=True)
                self._write(line)

    def append_line(self, line: bytes) -> None:
        """Write a line of another copy of this journal as it is; StoreError as in `append`."""
        with self._refusing():
            self._write(line)

    def lost_file(self) -> str:
        """Return what somebody did to the file since its last row: empty, or a word for it."""
        return "" if self._beginning is not None else file_state(self._descriptor, self.path, self._size)

    def recreate(self, rows: Sequence[Record]) -> None:
        """Go on in a new file with `rows`, where the old one was taken away; raises StoreError."""
        content = b"".join(encode_line(row) for row in rows)
        with self._refusing():
            descriptor = recreated(self.path, content)
        # Closed after the new file is locked: in between no other process may take the run over.
        os.close(self._descriptor)
        self._descriptor, self._size = descriptor, len(content)

    def close(self) -> None:
        """Give the lock back. Closing twice does nothing."""
        if self._descriptor >= 0:
            self._reserve.unlink(missing_ok=True)
            if self._beginning is not None:
                self._beginning.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._descriptor, data)
            # The content first, then the name: after a power cut a name without
            # content would be a run without a start.
            os.fsync(self._descriptor)
            if self._beginning is not None:  # a new journal, which now holds a row; the lock stays on it
                os.rename(self._beginning, self.path)
                self._beginning = None
                sync(self.path.parent)
        except OSError:
            # Half a line must not stay: the next row would be appended to it and lost with it.
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Make an error of the disk within the block a `StoreError` of one line."""
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot write the journal: {error.strerror}",
                where=self.path,
                do="make space or choose another --store",
            ) from error
