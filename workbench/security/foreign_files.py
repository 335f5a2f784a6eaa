"""Files of somebody else's folder: read and copied without following a link out of it or waiting for a pipe.

A folder from another machine may hold links to files of this one, pipes that block whoever opens them, and
devices without an end. Every step of a path is opened without following links, and only a regular file counts.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from workbench.security.foreign_names import is_inner, resolved

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer must not block


def open_file(path: Path, follow: bool = True) -> int:
    """Return a descriptor of the regular file at `path`; OSError for anything else, at once.

    Our own store may lie behind links, so they are followed unless `follow` is off.
    """
    return regular(os.open(path, _FILE | (0 if follow else os.O_NOFOLLOW)), path)


def opened(path: Path) -> BinaryIO:
    """Return the regular file at `path`, open for reading; OSError for a pipe, a device or a folder, at once."""
    return os.fdopen(open_file(path), "rb")


def read_file(path: Path) -> bytes:
    """Return the content of the regular file at `path`; OSError for a pipe, a device or a folder."""
    with opened(path) as file:
        return file.read()


def open_inside(folder: Path, inner: PurePosixPath | str) -> int:
    """Return a descriptor of the regular file `inner` of `folder`, no step to which is a link."""
    parts = PurePosixPath(inner).parts
    if not is_inner(str(inner)):
        raise OSError(f"{inner} leads out of {folder}")
    # From descriptor to descriptor: a path that is looked at first and opened then may be another in between.
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, _FOLDER, dir_fd=at)
            os.close(at)
            at = deeper
        return regular(os.open(parts[-1], _FILE | os.O_NOFOLLOW, dir_fd=at), folder / inner)
    finally:
        os.close(at)


def read_inside(folder: Path, inner: PurePosixPath | str) -> bytes:
    """Return the content of the regular file `inner` of `folder`, no step to which is a link."""
    with os.fdopen(open_inside(folder, inner), "rb") as file:
        return file.read()


def is_inside(folder: Path, inner: PurePosixPath | str) -> bool:
    """Tell whether `inner` is a regular file of `folder` that no link leads to."""
    try:
        os.close(open_inside(folder, inner))
    except OSError:
        return False
    return True


def copy_inside(folder: Path, inner: PurePosixPath | str, target: Path) -> None:
    """Copy the regular file `inner` of `folder`, with its time, to `target`, which is a new file."""
    with os.fdopen(open_inside(folder, inner), "rb") as source:
        with target.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        found = os.fstat(source.fileno())
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def files_below(folder: Path, inner: str = "") -> Iterator[PurePosixPath]:
    """Yield the regular files below `inner` of `folder`, relative to `folder`, in order; no link is followed.

    Nothing is yielded where `inner` is not there, or is reached through a link.
    """
    start = PurePosixPath(inner)
    # Not the folder itself, which is our own and may lie behind a link.
    if any((folder / step).is_symlink() for step in (start, *start.parents)[:-1]):
        return
    for at, folders, files in os.walk(folder / inner, followlinks=False):
        folders.sort()
        for name in sorted(files):
            path = Path(at) / name
            relative = path.relative_to(folder).as_posix()
            if is_inner(relative) and stat.S_ISREG(path.lstat().st_mode):
                yield PurePosixPath(relative)


def odd_below(folder: Path) -> list[str]:
    """Return what `files_below` passes over: links, pipes, devices and names that are none."""
    found = set(files_below(folder))
    odd = []
    for at, folders, files in os.walk(folder, followlinks=False):
        for name in sorted([*files, *(n for n in folders if (Path(at) / n).is_symlink())]):
            relative = (Path(at) / name).relative_to(folder)
            if PurePosixPath(relative) not in found:
                odd.append(relative.as_posix())
    return odd


@contextmanager
def without_links(folder: Path) -> Iterator[Path]:
    """Give `folder`, or where it holds links or pipes a copy without them: for a reader that follows them."""
    if not odd_below(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="workbench-files-") as aside:
        copy_tree(folder, Path(aside))
        yield Path(aside)


def is_below(path: Path, folder: Path) -> bool:
    """Tell whether `path` lies below `folder`, all links and `..` followed to their end."""
    found, root = resolved(path), resolved(folder)
    return found != root and found.is_relative_to(root)


def copy_tree(folder: Path, target: Path) -> None:
    """Copy the regular files below `folder` to `target`, without following a link: the one way to do so."""
    for inner in files_below(folder):
        place = target / inner
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_inside(folder, inner, place)


def regular(descriptor: int, path: Path) -> int:
    """Return `descriptor` where it is that of a regular file; else it is closed and `NoFile` raised."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NoFile(path)


class NoFile(OSError):
    """Something that is not a regular file where one was to be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(0, "is not a regular file", str(path))
