"""The file of a journal: opened under its lock, made durable, and made again where somebody took it away."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from workbench.errors import RecordError, StoreError
from workbench.files import lock_within, sync, write_all
from workbench.security.foreign_files import regular

BEGINNING = "beginning"  # in the folder beside: a journal before its first row
REPLACED = "replaced"  # in the folder beside: what somebody put in a journal's place while it was written


def open_locked(path: Path, patience: float) -> tuple[int, Path | None]:
    """Return a descriptor with the lock held, of the journal or, before its first row, of the file returned too."""
    beginning = path.with_suffix(".d") / BEGINNING
    while True:
        # A new journal is written under another name and renamed with its first row in it: readers never meet an
        # empty journal, and a process killed before leaves no run.
        new = not path.exists()
        descriptor = _opened(beginning if new else path, path, patience)
        if not new:
            return descriptor, None
        if not path.exists():
            os.ftruncate(descriptor, 0)  # what a killed process left of its first row
            return descriptor, beginning
        os.close(descriptor)  # another process began the run in between


def _opened(file: Path, path: Path, patience: float) -> int:
    """Return a descriptor of `file`, which is or becomes the journal at `path`, with the lock held."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Appending, so that the kernel puts each row at the end whoever else writes; no
        # link and no pipe is followed out of the store.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = regular(os.open(file, flags, 0o666), file)
        if lock_within(descriptor, fcntl.LOCK_EX, patience):
            return descriptor
    except OSError as error:
        raise StoreError(
            f"cannot write the journal: {error.strerror}", where=path, do="choose a store that can be written"
        ) from error
    os.close(descriptor)
    raise RecordError("another process is writing this run", where=path.stem, do="wait for it or stop it")


def file_state(descriptor: int, path: Path, size: int) -> str:
    """Return what became of the file that is being written: empty, or `deleted`, `replaced` or `cut short`."""
    # By device and number, for a file of the same name may be another file.
    mine = os.fstat(descriptor)
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return "deleted"
    if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
        return "replaced"
    return "cut short" if mine.st_size < size else ""


def recreated(path: Path, content: bytes) -> int:
    """Return a locked descriptor of a new file at `path` with `content`; what lies there is kept beside.

    Raises OSError where it cannot be written; nothing is lost then.
    """
    folder = path.with_suffix(".d")
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / BEGINNING
    new.unlink(missing_ok=True)
    # Nobody else knows this file yet, so the lock is there at once or something is wrong.
    descriptor = _opened(new, path, 0.0)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
        if os.path.lexists(path):
            os.rename(path, _free(folder / REPLACED))
        os.rename(new, path)
        sync(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _free(path: Path) -> Path:
    number = 1
    while os.path.lexists(path.with_name(f"{path.name}-{number}")):
        number += 1
    return path.with_name(f"{path.name}-{number}")
