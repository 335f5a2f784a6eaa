"""Two folders of records become one: journals first, with their files and checkpoints; views are made from them.

The same run in both is one run: of two journals of which one continues the other, the longer counts. Two
that contradict each other are refused before anything is written. Journals are only ever added to, a new
one comes whole and last, so a kill at any moment leaves a store that the next merge completes.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import RecordError, StoreError
from workbench.files import replacing, sync
from workbench.tracking.journal import JournalWriter, is_locked, read_journal
from workbench.tracking.locks import lock
from workbench.tracking.sanitize import clean_file, lines_of, trusted
from workbench.tracking.store import Store, read_runs
from workbench.tracking.sweeps import FOLDER as SWEEPS

Say = Callable[[str], None]
NOT_COPIED = ("reserve", "views.lock")
TAG_IMPORTED = "workbench.imported"


@dataclass
class Merged:
    """What a merge did, by run: new here, longer than before, the same in both, left because it is at work."""

    new: list[str] = field(default_factory=list)
    longer: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    twins: dict[str, str] = field(default_factory=dict)  # an import of the same file under another name here
    withheld: list[str] = field(default_factory=list)  # files that hold a secret and cannot be masked
    foreign: int = 0  # runs in the other MLflow that have no journal


def merge(other: Path, store: Store, say: Say) -> Merged:
    """Copy every run of the folder `other` into `store`.

    Raises `StoreError` for a folder that is none of records or is the store itself, and `RecordError`,
    with nothing changed, where a run of both has two different histories.
    """
    source = source_store(other, store)
    store.require_writable()
    with lock(store.root / ".merge.lock", why="another merge into this store is at work"):
        done = Merged(foreign=_foreign(source))
        todo = _plan(source, store, done)
        for run in todo:
            done.withheld += _copy_run(source, store, run)
            if run not in done.same:
                say(f"{run}: {'copied' if run in done.new else 'brought up to date'}")
    return done


def source_store(other: Path, store: Store) -> Store:
    """Return the folder `other` (`mlruns/` or a project that holds it) as a store to read from."""
    folder = other / "mlruns" if (other / "mlruns" / "journal").is_dir() else other
    if not (folder / "journal").is_dir():
        raise StoreError("holds no journals", where=other, expected="the mlruns/ folder of another project")
    root = folder.resolve()
    if root == store.root.resolve():
        raise StoreError("is the store itself", where=other, expected="the mlruns/ folder of another project")
    return Store(root, f"sqlite:///{root / 'mlflow.db'}")


# ---------------------------------------------------------------- what is to do


def _plan(source: Store, store: Store, done: Merged) -> list[str]:
    """Sort all runs into `done` and return those to copy; raises before anything is written."""
    here, conflicts, todo = set(store.runs()), [], []
    imported = _imported(store)
    for run in source.runs():
        if is_locked(source.journal(run)) or (run in here and is_locked(store.journal(run))):
            done.busy.append(run)
            continue
        if run not in here:
            twin = imported.get(_identity(source, run))
            if twin:
                done.twins[run] = twin
                continue
            done.new.append(run)
            todo.append(run)
            continue
        ours, theirs = trusted(store.journal(run)), trusted(source.journal(run))
        shorter = min(len(ours), len(theirs))
        if ours[:shorter] != theirs[:shorter]:
            conflicts.append(run)
        (done.longer if len(theirs) > len(ours) else done.same).append(run)
        todo.append(run)
    if conflicts:
        shown = ", ".join(conflicts[:4]) + (", ..." if len(conflicts) > 4 else "")
        raise RecordError(
            f"{len(conflicts)} runs of both have different histories: {shown}", where=source.root,
            expected="the same journal, or one that continues the other",
            do="it was resumed in both places: take one of the two out of its folder; nothing was changed",
        )  # fmt: skip
    return todo


def _imported(store: Store) -> dict[str, str]:
    """Return {identity of the imported content: run} of a store."""
    found = {_identity(store, run): run for run in store.runs()}
    return {identity: run for identity, run in found.items() if identity}


def _identity(store: Store, run: str) -> str:
    start = read_journal(store.journal(run)).start
    return start.tags.get(TAG_IMPORTED, "") if start else ""


def _foreign(source: Store) -> int:
    """Return how many runs the other MLflow database has that no journal tells of."""
    if not source.database.exists():
        return 0
    known = set(source.runs())
    try:
        return sum(row.run not in known for row in read_runs(source))
    except StoreError:
        return 0  # a database that cannot be read is not what is merged


# ---------------------------------------------------------------- copying


def _copy_run(source: Store, store: Store, run: str) -> list[str]:
    """Copy files, then checkpoints, then the journal, which makes them count; return files that hold secrets."""
    continues = not store.journal(run).exists() or len(trusted(source.journal(run))) > len(
        trusted(store.journal(run))
    )
    withheld = _copy_files(source.run_folder(run), store.run_folder(run), theirs=continues)
    withheld += _copy_files(source.root / SWEEPS / run, store.root / SWEEPS / run, continues, beside=False)
    _copy_checkpoints(source.run_checkpoints(run), store.run_checkpoints(run), theirs=continues)
    _copy_journal(source.journal(run), store.journal(run))
    return [f"{run}: {name}" for name in withheld]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink() and path.name not in NOT_COPIED:
            if not path.name.startswith("."):
                yield path


def _copy_files(source: Path, target: Path, theirs: bool, beside: bool = True) -> list[str]:
    """Copy the files of a run, masked; of two different ones `theirs` says whether the other folder's counts.

    Files that do not count are kept beside (`merged-<digest>/`), so that nothing is lost. Returns the names
    of those that are not kept, because they hold a secret.
    """
    withheld = []
    for path in _files(source):
        inner = path.relative_to(source)
        place = target / inner
        if place.exists() and filecmp.cmp(path, place, shallow=False):
            continue
        content = clean_file(path)
        if content is None:
            withheld.append(inner.as_posix())
        elif not place.exists() or (theirs and content != place.read_bytes()):
            _write(content, place)
        elif beside and content != place.read_bytes():
            found = hashlib.sha256(content).hexdigest()[:8]
            _write(content, target / inner.parts[0] / f"merged-{found}" / Path(*inner.parts[1:]))
    return withheld


def _copy_checkpoints(source: Path, target: Path, theirs: bool) -> None:
    for path in _files(source):
        place = target / path.relative_to(source)
        if not place.exists() or (theirs and not filecmp.cmp(path, place, shallow=False)):
            with _whole(place) as aside:
                shutil.copy2(path, aside)


def _write(content: bytes, place: Path) -> None:
    with _whole(place) as aside:
        aside.write_bytes(content)


@contextlib.contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """Give the path to write a file to that then takes its place, whole and durably, or not at all."""
    try:
        with replacing(place, durable=True) as aside:
            yield aside
    except OSError as error:
        raise StoreError(
            f"cannot be copied: {error.strerror}", where=place, do="make space and merge again"
        ) from error


def _copy_journal(source: Path, target: Path) -> None:
    """Complete a journal from the other: a new one comes whole, a shorter one gets the missing lines.

    Lines that cannot be trusted come with it, unless something in it had to be masked.
    """
    lines = trusted(source)
    if not target.exists():
        as_it_is = set(lines) <= set(lines_of(source))
        _write(source.read_bytes() if as_it_is else b"\n".join([*lines, b""]), target)
        sync(target.parent)
        return
    missing = lines[len(trusted(target)) :]
    if missing:
        with JournalWriter(target) as writer:
            for line in missing:
                writer.append_line(line + b"\n")
