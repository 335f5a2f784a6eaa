"""The runs in a store's trash: which there are, and which of them a word means."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import RecordError, suggestion
from workbench.security.foreign_names import is_run
from workbench.tracking.journal import first_start
from workbench.tracking.rows import StartRecord
from workbench.tracking.store import Store

FOLDER = "trash"
JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Removed:
    """A run in the trash: its record's name, what people call it, and when it was removed."""

    run: str
    title: str
    time: float
    start: StartRecord | None

    def is_called(self, text: str) -> bool:
        """Tell whether `text` names it: its run, its title, or that without the seed."""
        return text in (self.run, self.title, self.title.rpartition(":")[0])


def removed(store: Store) -> list[Removed]:
    """Return the runs in the trash, the one removed last at the end."""
    folder = store.root / FOLDER
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        start = first_start(path / JOURNAL)
        if is_run(path.name) and not path.is_symlink():
            name = start.title if start else path.name
            found.append(Removed(path.name, name, path.stat().st_mtime, start))
    return sorted(found, key=lambda one: (one.time, one.run))


def find_removed(store: Store, text: str) -> Removed:
    """Return the removed run that `text` means, of several the one removed last; raises `RecordError` for none."""
    known = removed(store)
    found = [one for one in known if one.is_called(text)]
    found = found or [one for one in known if text and one.run.startswith(text)]
    if not found:
        names = [one.title for one in known]
        raise RecordError(
            f"no removed run {text!r}",
            where=store.root / FOLDER,
            do=suggestion(text, names) if names else "the trash is empty",
        )
    return found[-1]
