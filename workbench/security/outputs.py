"""No command writes over what it reads, or over the records themselves: looked at once, for all commands alike.

`table history.json -o history.json` would leave a table in the place of the only log of a training.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import DataError
from workbench.security.foreign_names import resolved

# Of all commands, those that name what is written.
OPTIONS = ("-o", "--output", "--out", "--save-embeddings", "--sheet")


def refuse_lost(words: Sequence[str]) -> None:
    """Raise `DataError` where a command line names one of its inputs, or a file of the records, as its output."""
    written, others = _parted(words)
    for name in written:
        path = Path(name)
        if any(_same(name, other) for other in others):
            raise DataError("is an input of this command", where=path, do="choose another place to write to")
        if _is_of_records(resolved(path)):
            raise DataError("is part of the records", where=path, do="choose another place to write to")


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what of a command line is written to, and all other words that may name a file."""
    written, others, expected = [], [], False
    for word in words:
        option, sign, value = word.partition("=")
        if expected:
            written.append(word)
        elif sign and option in OPTIONS:
            written.append(value)
        elif word not in OPTIONS:
            others += [word, *([value] if sign else [])]
        expected = not expected and word in OPTIONS
    return written, others


def _same(one: str, other: str) -> bool:
    try:  # a folder that is read may well be written into
        return os.path.isfile(one) and os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _is_of_records(path: Path) -> bool:
    """Tell a journal, a state, a sweep's file or the database of a store, known by its folder of journals."""
    for folder in path.parents:
        if os.path.isdir(folder / "journal"):
            inner = path.relative_to(folder).parts
            return (
                inner[0] in ("checkpoints", "sweeps")
                or inner[0].startswith("mlflow.db")
                or inner[:-1] == ("journal",)
            )
    return False
