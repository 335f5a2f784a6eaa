"""Folders of artifacts: those of the old records, and those that a killed rebuild left where nobody looks."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from workbench.errors import StoreError
from workbench.files import write_whole
from workbench.names import TAG_RUN
from workbench.security.foreign_files import is_below, is_inside
from workbench.tracking.store import Store, connect

# The folder of a rebuild at work, and in it what it made elsewhere, and what is to go into its backup at the end.
ASIDE, MADE, OLD = "rebuild-", "made.txt", "old.txt"

OF_REBUILD = re.compile(ASIDE + r"\d{8}T\d{6}Z-\d+")


def note_made(aside: Path, folders: Iterable[Path]) -> None:
    """Note artifact folders that a rebuild made in their final place, in a file that outlives a kill."""
    with (aside / MADE).open("a", encoding="utf-8") as file:
        file.writelines(f"{folder}\n" for folder in folders)


def clear_killed(store: Store) -> None:
    """Remove what killed rebuilds left; the caller holds the lock that a rebuild at work would hold."""
    # By the whole form of the name: a person may keep a folder `rebuild-notes` there.
    for aside in sorted(store.root.glob(f"{ASIDE}*")):
        if OF_REBUILD.fullmatch(aside.name) and aside.is_dir() and not aside.is_symlink():
            undo(store, aside)


def undo(store: Store, aside: Path) -> None:
    """Remove all that the rebuild in `aside` made; where its records count already, put away the old ones instead."""
    known = set(artifact_folders(store)[0])
    _finish(store, aside, known)
    for folder in _made(store, aside):
        if is_below(folder, store.artifacts) and folder not in known:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)


def note_old(aside: Path, backup: Path, old: list[Path]) -> None:
    """Note the folders of the old records before the new ones take their place."""
    write_whole(aside / OLD, "\n".join(map(str, (backup, *old))), durable=True)


def put_away(store: Store, backup: Path, old: Iterable[Path]) -> None:
    """Move the folders of the old records into the backup."""
    for folder in old:
        target = backup / folder.relative_to(store.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)


def _finish(store: Store, aside: Path, known: set[Path]) -> None:
    """Put away what a rebuild did not, which was killed when its records counted already."""
    if (aside / "mlflow.db").exists() or not is_inside(aside, OLD):
        return
    # A store may come from elsewhere, and the note with it: nothing outside of this one is moved.
    backup, *old = map(Path, (aside / OLD).read_text(encoding="utf-8").splitlines())
    if backup.parent == store.root and backup.is_dir() and not backup.is_symlink():
        there = (folder for folder in old if is_below(folder, store.artifacts) and folder.is_dir())
        put_away(store, backup, [folder for folder in there if folder not in known])


def _models(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the artifact addresses of the logged models of our runs, each with the run."""
    tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'logged_model_tags'").fetchall()
    return (
        connection.execute(
            "SELECT m.artifact_location, t.tag_value FROM logged_models m "
            "JOIN logged_model_tags t ON t.model_id = m.model_id AND t.tag_key = ?",
            (TAG_RUN,),
        ).fetchall()
        if tables
        else []
    )


def _made(store: Store, aside: Path) -> set[Path]:
    """Return the artifact folders that a killed rebuild made: those it noted, and that of the run it was at."""
    noted = (aside / MADE).read_text(encoding="utf-8") if is_inside(aside, MADE) else ""
    begun = dataclasses.replace(store, uri=f"sqlite:///{aside / 'mlflow.db'}")
    return {*map(Path, noted.splitlines()), *artifact_folders(begun)[0]}


def artifact_folders(store: Store) -> tuple[list[Path], int]:
    """Return the artifact folders of our runs in the old database, and how many runs are not ours."""
    if not store.database.exists():
        return [], 0
    try:
        with connect(store.database) as connection:
            rows = connection.execute(
                "SELECT r.artifact_uri, t.value FROM runs r "
                "LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = ?",
                (TAG_RUN,),
            ).fetchall()
            rows += _models(connection)
    except StoreError:
        return [], 0  # a broken database is what a rebuild is for
    ours = [
        Path(place.removeprefix("file://")).parent for place, run in rows if isinstance(place, str) and run
    ]
    known = [folder for folder in ours if is_below(folder, store.artifacts) and folder.is_dir()]
    return known, sum(run is None for _, run in rows)
