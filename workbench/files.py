"""Files written whole or not at all, made durable, and read from their end: the one place that does so.

Whoever reads a record, a cache or a report must never meet half of it, whatever ended its writer. So content goes
to a temporary file, in the same file system, and takes the name of the target in one step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False, temporary_in: Path | None = None) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` when the block ends well.

    Args:
        path: The target; its folder is made.
        durable: Flush the content and then the name to disk, in this order: a name that survives a power cut
            before its content does would be an empty file.
        temporary_in: The folder of the temporary file, where the target's own is watched or listed by others; it must be
            of the same file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (temporary_in or path.parent) / _temporary(path.name)
    try:
        yield temporary
        if durable:
            sync(temporary)
        os.replace(temporary, path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_private(path: Path) -> Iterator[TextIO]:
    """Give a file to write a secret to, which takes the place of `path` when the block ends well.

    Private from its first byte: with the rights set afterwards there is a moment in which others can open it.
    """
    with replacing(path) as temporary:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            yield file


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a folder to make, which takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new, old = (path.with_name(_temporary(name)) for name in (path.name, f"{path.name}.old"))
    try:
        yield new
        if path.exists():
            # Renamed, not removed: a folder cannot replace one that is not empty, and the old one is there until the
            # new one is.
            path.rename(old)
        new.rename(path)
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def _temporary(name: str) -> str:
    """Return a hidden name, with process and thread in it: two writers of one target must not write into one file."""
    return f".{name}.{os.getpid()}.{threading.get_ident()}"


# Such names, with the process that made them.
TEMPORARY = re.compile(r"\..+\.(\d+)\.\d{9,}")


def clear_temporary_files(folder: Path) -> None:
    """Remove the files and folders that killed processes of this machine were making below `folder`, no link followed.

    The caller sees to it that no other machine writes there.
    """
    for at, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            made, path = TEMPORARY.fullmatch(name), Path(at) / name
            if made and not Path(f"/proc/{made[1]}").exists():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, *, durable: bool = False) -> Path:
    """Write a text (as UTF-8) or bytes to `path`, whole or not at all, and return `path`."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, value: Any, *, durable: bool = False) -> Path:
    """Write `value` as JSON to `path`, whole or not at all, and return `path`."""
    return write_whole(path, json.dumps(value), durable=durable)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content`: `os.write` may take a part only, on a nearly full disk above all."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def lock_within(descriptor: int, kind: int, seconds: float) -> bool:
    """Take the lock `kind` (of `fcntl.flock`) on an open file within some seconds; tell whether it was free by then."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            # Asked again and again instead of waiting in the kernel: a waiting process must still hear a signal.
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name where the file system can, else copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; of a link its own, for it may lead in a circle."""
    files = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files)


def read_end(path: Path, most: int) -> bytes:
    """Return the last `most` bytes of a file, or all it has; a file that grows meanwhile does not matter."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        return file.read()
