"""Names from outside are no paths: the one function that makes a path of such a name.

A landmark list, a journal, a record of another machine or an archive may name anything: `../../.bashrc`,
`/etc/passwd`, a text with a line break or of a megabyte. What a name may be is said here, where names come in.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from workbench.errors import DataError, InputError, RecordError

LONGEST_PART, LONGEST_NAME = (
    255,
    1024,
)  # bytes of one name of a file and of a whole path, as file systems have them
_RUN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@-]{0,199}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_run(name: object) -> bool:
    """Tell whether `name` can be a run's: letters, digits and `_.+=@-`, not hidden, no path."""
    return isinstance(name, str) and _RUN.fullmatch(name) is not None


def is_inner(name: object) -> bool:
    """Tell whether `name` is a relative path that stays below the folder it is meant for."""
    return fault_of(name) is None


def fault_of(name: object) -> str | None:
    """Return why `name` cannot be a path below a folder, None where it can."""
    if not isinstance(name, str) or not name.strip("/"):
        return "is no name"
    if _CONTROL.search(name):
        return "holds control characters"
    if len(name.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    parts = name.removeprefix("./").split("/")
    if name.startswith("/") or ".." in parts or "." in parts:
        return "leads out of its folder"
    return (
        f"is longer than {LONGEST_PART} bytes" if len(max(parts, key=len).encode()) > LONGEST_PART else None
    )


def within(
    folder: Path, name: object, *, where: object, what: str = "name", error: type[InputError] = RecordError
) -> Path:
    """Return the path of the outside `name` below `folder`; the one place that makes such a path.

    Raises `error` for a name that is none or leads out of the folder, be it through a link on the way.
    """
    fault = fault_of(name)
    path = folder / PurePosixPath(str(name)) if fault is None else folder
    if fault is None and not path.resolve().is_relative_to(folder.resolve()):
        fault = "leads out of its folder through a link"
    if fault is not None:
        shown = repr(name)
        shown = shown if len(shown) <= 80 else f"{shown[:76]}...{shown[-1]}"
        raise error(f"{what} {shown} {fault}", where=where, expected="a relative path that stays inside")
    return path


def new_file(path: Path, inputs: tuple[Path, ...] = (), *, force: bool = False) -> Path:
    """Return `path`, a place to write to: no input of the same command, and nothing that is there, unless `force`.

    Raises `DataError` naming what would be lost.
    """
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise DataError("is an input of this command", where=path, do="choose another place to write to")
    if path.exists() and not force:
        raise DataError("exists already", where=path, do="choose another name, or say --force")
    return path
