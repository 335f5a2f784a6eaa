"""Two folders of records become one: journals first, with their files and checkpoints; views are made from them.

The same run in both is one run: of two journals of which one continues the other, the longer counts. Two
that contradict each other are refused before anything is written. Journals are only ever added to, a new
one comes whole and last, so a kill at any moment leaves a store that the next merge completes.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from workbench.errors import RecordError, StoreError
from workbench.files import clear_temporary_files, replacing
from workbench.names import TAG_IMPORTED
from workbench.security.foreign_files import copy_inside, files_below, is_inside, read_inside
from workbench.security.foreign_names import within
from workbench.tracking import logged_models
from workbench.tracking.journal import JournalWriter, first_start, is_locked, read_journal
from workbench.tracking.locks import lock
from workbench.tracking.logged_models import share_weights
from workbench.tracking.sanitize import clean_file, harmless_lines, trusted
from workbench.tracking.store import Store, read_runs
from workbench.tracking.sweeps import FOLDER as SWEEPS
from workbench.tracking.sync_thread import Say

NOT_COPIED = ("reserve", "views.lock")


@dataclass
class Merged:
    """What a merge did, by run: new here, longer than before, the same in both, left because it is at work."""

    new: list[str] = field(default_factory=list)
    longer: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    twins: dict[str, str] = field(default_factory=dict)  # an import of the same file under another name here
    withheld: list[str] = field(default_factory=list)  # files that hold a secret and cannot be masked
    # What cannot be read, and why; nothing of it is copied.
    left: dict[str, str] = field(default_factory=dict)
    foreign: int = 0  # runs in the other MLflow that have no journal


def merge(other: Path, store: Store, say: Say) -> Merged:
    """Copy every run of the folder `other` into `store`.

    Raises `StoreError` for a folder that is none of records or is the store itself, and `RecordError`,
    with nothing changed, where a run of both has two different histories.
    """
    source = source_store(other, store)
    # Before the plan, which takes a while: a read-only store is refused in the first second.
    store.require_writable()
    with lock(store.root / ".merge.lock", why="another merge into this store is at work"):
        done = Merged(foreign=_foreign(source))
        # All conflicts are found before the first file is copied, so that a refusal changes nothing.
        todo = _plan(source, store, done)
        for run in todo:
            strange = _strange_models(source, run)
            done.left.update((f"{run}: {name}", "is not a model of this program") for name in strange)
            for place in (store.run_folder(run), store.run_checkpoints(run), store.root / SWEEPS / run):
                clear_temporary_files(place)  # of a merge that was killed
            done.withheld += _copy_run(source, store, run, strange)
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
    imported = {identity: run for run in sorted(here) if (identity := _identity(store, run))}
    done.left.update(dict.fromkeys(source.odd_journals(), "its name is none of a run"))
    for run in source.runs():
        why = _unreadable(source, run)
        if why is not None:
            done.left[run] = why
            continue
        if is_locked(source.journal(run)) or (run in here and is_locked(store.journal(run))):
            done.busy.append(run)
            continue
        if run not in here:
            # The same file imported on two machines got two run names; its content tells that it is one run.
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
            f"{len(conflicts)} runs of both have different histories: {shown}",
            where=source.root,
            expected="the same journal, or one that continues the other",
            do="it was resumed in both places: take one of the two out of its folder; nothing was changed",
        )
    return todo


def _unreadable(source: Store, run: str) -> str | None:
    """Return why a run of the other folder is not taken; None where its journal is a file with sound rows."""
    journal = source.journal(run)
    if not is_inside(source.root, journal.relative_to(source.root).as_posix()):
        return "its journal is a link or no file"
    try:
        rows = read_journal(journal).rows
    except RecordError as error:
        return str(error)
    return None if rows else "its journal holds no sound row"


def _identity(store: Store, run: str) -> str:
    """Return what tells the content of an imported run; empty for any other run."""
    start = first_start(store.journal(run))
    return start.tags.get(TAG_IMPORTED, "") if start else ""


def _foreign(source: Store) -> int:
    """Return how many runs the other MLflow database has that no journal tells of."""
    if not is_inside(source.root, source.database.name):
        return 0
    known = set(source.runs())
    try:
        return sum(row.run not in known for row in read_runs(source))
    except StoreError:
        return 0  # a database that cannot be read is not what is merged


# ---------------------------------------------------------------- copying


def _strange_models(source: Store, run: str) -> list[str]:
    """Return the MLflow models of a run that this program did not write: MLflow would import what they name."""
    place = source.run_folder(run).relative_to(source.root) / logged_models.FOLDER
    folder = PurePosixPath(place.as_posix())
    files = {name.relative_to(folder) for name in files_below(source.root, str(folder))}
    found = []
    for name in sorted({path.parts[0] for path in files}):
        described = PurePosixPath(name) / logged_models.DESCRIPTION
        content = read_inside(source.root, folder / described) if described in files else None
        if not logged_models.is_plain(content):
            found.append(f"{logged_models.FOLDER}/{name}")
    return found


def _copy_run(source: Store, store: Store, run: str, strange: list[str]) -> list[str]:
    """Copy files, then checkpoints, then the journal, which makes them count; return files that hold secrets.

    What is `strange` among the run's files stays where it is.
    """
    # Decided before any file is copied: the journal that is longer says whose files are the newer ones.
    continues = not store.journal(run).exists() or len(trusted(source.journal(run))) > len(
        trusted(store.journal(run))
    )
    withheld = _copy_files(source.root, store.run_folder(run), store, continues, without=strange)
    withheld += _copy_files(source.root, store.root / SWEEPS / run, store, continues, beside=False)
    _copy_checkpoints(source.root, store.run_checkpoints(run), store, theirs=continues)
    share_weights(store, run)
    # Last: with the journal the run exists here, so everything it names must lie there already.
    _copy_journal(source.journal(run), store.journal(run))
    return [f"{run}: {name}" for name in withheld]


def _files(source: Path, target: Path, store: Store) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield each file of the other folder that belongs into `target` of the store, and its place there."""
    inner = target.relative_to(store.root)
    for found in files_below(source, inner.as_posix()):
        if found.name not in NOT_COPIED and not found.name.startswith("."):
            yield found, within(target, found.relative_to(inner).as_posix(), where=source)


def _copy_files(
    source: Path, target: Path, store: Store, theirs: bool, beside: bool = True, without: Sequence[str] = ()
) -> list[str]:
    """Copy the files of a run, masked; of two different ones `theirs` says whether the other folder's counts.

    Files that do not count are kept beside (`merged-<digest>/`), so that nothing is lost. Returns the names
    of those that are not kept, because they hold a secret.
    """
    withheld = []
    for path, place in _files(source, target, store):
        inner = place.relative_to(target)
        if "/".join(inner.parts[:2]) in without:
            continue
        theirs_is = read_inside(source, path)
        # A merge is often repeated after a kill; what is equal already is not written again.
        if place.exists() and theirs_is == place.read_bytes():
            continue
        content = clean_file(path.name, theirs_is)
        if content is None:
            withheld.append(inner.as_posix())
        elif not place.exists() or (theirs and content != place.read_bytes()):
            _write(content, place)
        elif beside and content != place.read_bytes():
            found = hashlib.sha256(content).hexdigest()[:8]
            folder = target / inner.parts[0] if len(inner.parts) > 1 else target
            _write(content, folder / f"merged-{found}" / Path(*inner.parts[len(inner.parts) > 1 :]))
    return withheld


def _copy_checkpoints(source: Path, target: Path, store: Store, theirs: bool) -> None:
    for path, place in _files(source, target, store):
        if not place.exists() or (theirs and not filecmp.cmp(source / path, place, shallow=False)):
            with _whole(place) as temporary:
                copy_inside(source, path, temporary)


def _write(content: bytes, place: Path) -> None:
    with _whole(place) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """Give the path to write a file to that then takes its place, whole and durably, or not at all."""
    try:
        with replacing(place, durable=True) as temporary:
            yield temporary
    except OSError as error:
        raise StoreError(
            f"cannot be copied: {error.strerror}", where=place, do="make space and merge again"
        ) from error


def _copy_journal(source: Path, target: Path) -> None:
    """Complete a journal from the other: a new one comes whole, a shorter one gets the missing lines.

    Lines that cannot be trusted come with a new one, unless they hold a secret.
    """
    lines = trusted(source)
    if not target.exists():
        _write(harmless_lines(source), target)
        return
    missing = lines[len(trusted(target)) :]
    if missing:
        with JournalWriter(target) as writer:
            for line in missing:
                writer.append_line(line + b"\n")
