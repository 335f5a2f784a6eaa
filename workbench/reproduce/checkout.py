"""The code as a run used it: its commit and stored changes in a git worktree aside, removed afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import RecordError
from workbench.reproduce.custom_code import changed_parts
from workbench.reproduce.ingredients import current, recorded_diff
from workbench.security.foreign_files import files_below, is_inside, read_inside
from workbench.security.foreign_names import within
from workbench.tracking import code
from workbench.tracking.origin import is_own, is_unchanged
from workbench.train.from_record import KEPT, RecordedRun, foreign, spec_path

SECONDS = 300.0  # for git to lay out the files of a commit
UNTRACKED = "untracked"  # among a run's artifacts: modules that git did not know
NOT_LINKED = (".git", ".venv", "mlruns", "__pycache__")


@contextmanager
def checkout(run: RecordedRun) -> Iterator[Path | None]:
    """Give the folder to train in: None where the code here is that of the run, else a copy of its code.

    Raises `RecordError` where that code cannot be made again, saying what is missing; the working tree is
    never touched.
    """
    commit, now = run.start.provenance.get("commit"), current(run)
    if not commit and not run.has_its_code:
        raise RecordError(
            f"its own code is another one now ({'; '.join(changed_parts(run))})",
            where=run.run,
            do="bring it back, or take the code that is here with --here",
        )
    unchanged = now and (now.commit, now.digest) == (commit, recorded_diff(run)) and run.has_its_code
    if not commit or unchanged:
        yield None
        return
    _require_trust(run, commit)
    diff = _stored_diff(run)
    if now is None:
        raise RecordError(
            f"its code is commit {commit[:12]}, and there is no repository here",
            where=run.run,
            do="go to a clone of its repository, or take the code that is here with --here",
        )
    if code.git(now.top, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise RecordError(
            f"its commit {commit[:12]} is not in this repository",
            where=now.top,
            do=f"fetch it (git fetch origin {commit}), or take the code that is here with --here",
        )
    with _worktree(now.top, commit) as folder:
        if diff:
            _apply(folder, diff, run)
        yield _furnish(run, now.top, folder)


def _require_trust(run: RecordedRun, commit: str) -> None:
    """Refuse to run what another store kept, or what was changed since this one kept it."""
    artifacts = run.store.run_artifacts(run.run)
    kept = [name for name in (code.DIFF, KEPT) if is_inside(artifacts, name)]
    kept += [str(path) for path in files_below(artifacts, UNTRACKED)]
    if not run.trusted:
        raise foreign(run.start, [f"commit {commit[:12]}", *kept])
    changed = [
        name for name in kept if is_own(run.store, run.start) and not is_unchanged(run.store, run.start, name)
    ]
    if changed:
        raise RecordError(
            f"{changed[0]} is not as it was kept",
            where=artifacts,
            do="take the code that is here with --here",
        )


def _stored_diff(run: RecordedRun) -> bytes:
    facts = run.start.provenance
    if not facts.get("uncommitted"):
        return b""
    if is_inside(run.store.run_artifacts(run.run), code.DIFF):
        return read_inside(run.store.run_artifacts(run.run), code.DIFF)
    why = facts.get("diff_withheld") or "the file is not there"
    raise RecordError(
        f"it ran with uncommitted changes that are not in its record ({why})",
        where=run.run,
        expected=f"commit {facts['commit'][:12]} with the same changes in the working tree",
        do="bring them back, or take the code that is here with --here",
    )


@contextmanager
def _worktree(top: Path, commit: str) -> Iterator[Path]:
    # Outside of the repository, where git would count it among the files that it does not know.
    parent = Path(tempfile.mkdtemp(prefix="workbench-rerun-"))
    folder = parent / "code"
    try:
        made = code.git(top, "worktree", "add", "--detach", str(folder), commit, seconds=SECONDS)
        if made is None:
            raise RecordError(f"git cannot lay out commit {commit[:12]}", where=top, do="see `git worktree`")
        yield folder
    finally:
        code.git(top, "worktree", "remove", "--force", str(folder), seconds=SECONDS)
        shutil.rmtree(parent, ignore_errors=True)
        # For a removal that git did not come to the end of: it forgets worktrees whose folder is gone.
        code.git(top, "worktree", "prune")


def _apply(folder: Path, diff: bytes, run: RecordedRun) -> None:
    if code.git(folder, "apply", "--whitespace=nowarn", "-", given=diff, seconds=SECONDS) is None:
        raise RecordError(
            f"its stored changes ({code.DIFF}) do not apply to its commit",
            where=run.run,
            do="take the code that is here with --here",
        )


def _furnish(run: RecordedRun, top: Path, folder: Path) -> Path:
    """Put beside the code what git does not hold: kept modules, the spec, links to data. Returns the folder
    in the copy that the project is in the original."""
    artifacts = run.store.run_artifacts(run.run)
    for path in files_below(artifacts, UNTRACKED):
        _put(read_inside(artifacts, path), folder, path.relative_to(UNTRACKED).as_posix())
    project = run.store.root.parent.resolve()
    inside = project.relative_to(top) if project.is_relative_to(top) else Path()
    place = folder / inside
    spec = spec_within(run)
    if spec and not within(place, spec, where=run.run).exists() and is_inside(artifacts, KEPT):
        _put(read_inside(artifacts, KEPT), place, spec)
    # Links to data, never to code: a module of today must not get in between those of the commit.
    for entry in (top / inside).iterdir():
        if entry.name not in NOT_LINKED and entry.suffix != ".py" and not (place / entry.name).exists():
            (place / entry.name).symlink_to(entry)
    return place


def spec_within(run: RecordedRun) -> str:
    """Return the path of the spec file relative to the project; empty for one that lies elsewhere.

    Raises `RecordError` where the record names a place outside by `..`: nothing is looked for there.
    """
    path, project = spec_path(run.start), run.store.root.parent.resolve()
    if path.is_absolute():
        path = path.relative_to(project) if path.is_relative_to(project) else Path()
    if not path.name:
        return ""
    return within(project, path.as_posix(), where=run.run, what="spec_path").relative_to(project).as_posix()


def _put(content: bytes, folder: Path, name: str) -> None:
    target = within(folder, name, where=folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
