"""Where relative paths of data lie, and what is said when nothing is there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from workbench.errors import DataError, suggestion
from workbench.spec.interfaces import Places


def locate(path: str, places: Places, where: str, kind: Literal["a folder", "a file"] = "a folder") -> Path:
    """Return the first existing place of `path`: itself where absolute, else below the roots in order.

    Raises `DataError` naming every place that was looked at and the nearest name that is there.
    """
    candidates = places.candidates(path)
    fits = Path.is_dir if kind == "a folder" else Path.is_file
    for candidate in candidates:
        if fits(candidate):
            return candidate
    for candidate in candidates:
        if candidate.exists():
            other = "a file" if kind == "a folder" else "a folder"
            raise DataError(f"{candidate} is {other}", where=where, expected=kind)
    looked = ", ".join(str(candidate) for candidate in candidates)
    # Some of them: a folder of a million identities is not compared name by name for a hint.
    beside = [
        name
        for c in candidates
        if c.parent.is_dir()
        for name in sorted(entry.name for entry in c.parent.iterdir())[:200]
    ]
    hint = f"; {suggestion(Path(path).name, beside)}" if beside else ""
    raise DataError(
        f"{path!r} is not there (looked at {looked})",
        where=where,
        expected=kind,
        do=f"set WORKBENCH_DATA to the folder above it{hint}",
    )
