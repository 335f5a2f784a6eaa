"""Names from outside are not paths: the one function that makes a path of such a name.

A landmark list, a journal, a record of another machine or an archive may name anything: `../../.bashrc`,
`/etc/passwd`, a text with a line break or of a megabyte. What a name may be is said here, where names come in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from workbench.errors import DataError, InputError, RecordError

# Bytes of one name of a file and of a whole path, as file systems have them.
LONGEST_PART, LONGEST_NAME = (255, 1024)
LONGEST_LABEL = 250  # letters of the name of a metric or setting, as MLflow has them
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
        return "is not a name"
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


def is_count(text: str) -> bool:
    """Tell whether `text` is a whole number in plain digits that 64 bits hold.

    `str.isdigit` takes "²" too, and Python makes no number of five thousand digits.
    """
    return text.isascii() and text.isdigit() and len(text) < 19


def label(text: str) -> str:
    """Return the name of a metric or a setting as every record, view and screen takes it; "" for one that is none.

    Halves of letters are written out. One longer than `LONGEST_LABEL` is not a name but a text of something else.
    """
    if text.isascii() and text.isprintable() and 0 < len(text) <= LONGEST_LABEL and not text.isspace():
        return text
    plain = whole_letters(text)
    return plain if plain.strip() and len(plain) <= LONGEST_LABEL else ""


def whole_letters(text: str) -> str:
    """Return `text` with halves of letters (of a broken name of a file, or of JSON) written out: no file takes them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def within(
    folder: Path, name: object, *, where: object, what: str = "name", error: type[InputError] = RecordError
) -> Path:
    """Return the path of the outside `name` below `folder`; the one place that makes such a path.

    Raises `error` for a name that is none or leads out of the folder, be it through a link on the way.
    """
    fault = fault_of(name)
    path = folder / PurePosixPath(str(name)) if fault is None else folder
    if fault is None and not resolved(path).is_relative_to(resolved(folder)):
        fault = "leads out of its folder through a link"
    if fault is not None:
        raise error(
            f"{what} {_shown(name)} {fault}", where=where, expected="a relative path that stays inside"
        )
    return path


def listed(folder: Path, name: str, *, where: object) -> Path:
    """Return the file below `folder` that a list of files to read names; a whole path counts where it leads there.

    Links inside the folder are followed: it is the reader's own, and many a collection is made of them. Raises
    `DataError` for a name that leads out.
    """
    inner = os.path.relpath(name, folder) if name.startswith("/") else name
    fault = fault_of(inner)
    if fault is not None:
        raise DataError(
            f"names {_shown(name)}, which {fault}", where=where, expected=f"an image file below {folder}"
        )
    return folder / inner


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:76]}...{text[-1]}"


def resolved(path: Path) -> Path:
    """Return `path` with all links followed; links that lead in a circle stay as they are.

    `Path.resolve` of Python before 3.13 ends with a `RuntimeError` at such a circle.
    """
    return Path(os.path.realpath(path))


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
