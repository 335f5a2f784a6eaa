"""What a reader says of a run afterwards: a note and tags, in a file beside its journal.

They are not part of the record: the journal is closed and stays as the training wrote it. The file travels with
the run (`merge`), and MLflow shows the same as tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import InputError
from workbench.files import write_json
from workbench.names import TAG_PREFIX
from workbench.security import safe_json
from workbench.security.foreign_files import read_inside
from workbench.security.masking import mask
from workbench.tracking.store import Store

FILE = Path("notes") / "reader.json"  # in a run's folder
KEY = re.compile(r"[\w][\w .-]{0,99}")
LARGEST = 1 << 20  # bytes; a larger file is another's making
LONGEST = 4000  # characters of a note or value; what MLflow's pages still show whole


@dataclass(frozen=True)
class ReaderNotes:
    """A note (empty for none) and tags, of which many have no value."""

    note: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    def words(self) -> str:
        """Return the tags as a reader writes them: `paper, by=ana`."""
        return ", ".join(f"{key}={value}" if value else key for key, value in self.tags.items())


def read_notes(store: Store, run: str) -> ReaderNotes:
    """Return what readers said of a run; nothing where the file is missing, damaged or another's making."""
    path = store.run_folder(run) / FILE
    try:
        # The size first: a file from elsewhere may be gigabytes, and notes are read for each row of a
        # listing.
        small = path.is_file() and path.stat().st_size <= LARGEST
        found = safe_json.loads(read_inside(store.run_folder(run), FILE.as_posix())) if small else {}
        tags = {str(key): str(value)[:LONGEST] for key, value in dict(found.get("tags", {})).items()}
        kept = {key: value for key, value in tags.items() if KEY.fullmatch(key)}
        return ReaderNotes(str(found.get("note", ""))[:LONGEST], kept)
    # Notes are no part of the record: damaged ones are none, and the run stays readable.
    except (OSError, ValueError, TypeError, AttributeError):
        return ReaderNotes()


def write_notes(store: Store, run: str, notes: ReaderNotes) -> None:
    """Keep what a reader said of a run, secrets masked as in everything that is recorded."""
    store.refuse_links(run)
    tags = {key: mask(value) for key, value in notes.tags.items()}
    write_json(store.run_folder(run) / FILE, {"note": mask(notes.note), "tags": tags}, durable=True)


def parse_tag(text: str) -> tuple[str, str]:
    """Return key and value of `KEY=VALUE` or `KEY`; raises `InputError` for a key that is none."""
    key, _, value = (part.strip() for part in text.partition("="))
    # Keys of our own and of MLflow decide what views show; a reader's tag must not take their place.
    if not KEY.fullmatch(key) or key.startswith((TAG_PREFIX, "mlflow.")):
        raise InputError(
            f"{text!r} is not a tag",
            expected="KEY or KEY=VALUE; letters, digits, spaces, dots and dashes in KEY",
            do=f"names that begin with {TAG_PREFIX} or mlflow. are taken",
        )
    return key, value[:LONGEST]
