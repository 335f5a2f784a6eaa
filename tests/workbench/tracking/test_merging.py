"""Two stores become one: nothing lost, nothing twice, a conflict refused whole, a kill harmless."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from planted_secrets import PLANTED
from stores import METRICS, epoch, points, record, start

from workbench.errors import RecordError, StoreError
from workbench.security.masking import MARK
from workbench.tracking.journal import JournalWriter, read_journal
from workbench.tracking.logged_models import folder as logged_folder
from workbench.tracking.logged_models import placing
from workbench.tracking.merging import merge
from workbench.tracking.rows import EndRecord
from workbench.tracking.runs import read_state
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker


def silent(line: str) -> None:
    """Say nothing."""


def store_at(folder: Path) -> Store:
    root = folder / "mlruns"
    root.mkdir(parents=True)
    return Store(root, f"sqlite:///{root / 'mlflow.db'}")


def add(store: Store, run: str, epochs: int, end: str | None = "finished", **tags: str) -> None:
    with Tracker.open(
        store, start(run, tags=tags, time=1.0), texts={"spec.py": "x = 1\n"}, say=silent, views=[]
    ) as tracker:
        record(tracker, range(1, epochs + 1))
        tracker.artifact("scores/best/lfw.npz", text=f"{run} {epochs}".encode() + b"\x00\xff")
        if end:
            tracker.end(end)
    folder = store.run_checkpoints(run)
    folder.mkdir(parents=True)
    (folder / f"e{epochs:05}.safetensors").write_bytes(os.urandom(100))


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".db", ".lock")
    }


A, B, C = (f"20260101T00000{n}Z-0000000{n}" for n in (1, 2, 3))

PLAIN_MODEL = """flavors:
  python_function: {loader_module: mlflow.tensorflow}
  tensorflow: {model_type: tf2-module, saved_model_dir: tf2model}
"""


@pytest.fixture
def two(tmp_path: Path) -> tuple[Store, Store]:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    add(here, A, 3)
    add(there, B, 2)
    shutil.copytree(here.journals, there.journals, dirs_exist_ok=True)  # the same run in both
    shutil.copytree(here.checkpoints, there.checkpoints, dirs_exist_ok=True)
    return here, there


def test_runs_files_and_checkpoints_move_and_the_same_run_is_one(two: tuple[Store, Store]) -> None:
    here, there = two
    before = contents(there.root)
    done = merge(there.root, here, silent)
    assert (done.new, done.same, done.longer) == ([B], [A], [])
    assert here.runs() == [A, B]
    assert contents(there.root) == before  # only read
    for run in (A, B):
        for folder in ("run_artifacts", "run_checkpoints"):
            assert contents(getattr(here, folder)(run)) == contents(getattr(there, folder)(run))
        assert here.journal(run).read_bytes() == there.journal(run).read_bytes()
    after = contents(here.root)
    again = merge(there.root, here, silent)  # idempotent
    assert (again.new, sorted(again.same)) == ([], [A, B])
    assert contents(here.root) == after


def test_a_model_that_shares_its_checkpoints_file_does_so_after_a_merge(tmp_path: Path) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    add(there, A, 2)
    (state,) = there.run_checkpoints(A).iterdir()
    with placing(there, A, "model") as folder:
        folder.mkdir()
        (folder / "MLmodel").write_text(PLAIN_MODEL)
        os.link(state, folder / "weights")
    for _ in range(2):
        merge(there.root, here, silent)
        weights = logged_folder(here, A) / "model" / "weights"
        assert weights.samefile(here.run_checkpoints(A) / state.name)
        assert weights.read_bytes() == state.read_bytes()
        assert sorted(path.name for path in weights.parent.iterdir()) == ["MLmodel", "weights"]


def test_the_command_builds_the_views(two: tuple[Store, Store], root: Path) -> None:
    here, there = two
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "merge", str(there.root), "--into", str(here.root)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=here.root.parent,
    )
    assert done.returncode == 0, done.stderr
    assert "1 new, 0 brought up to date, 1 the same" in done.stdout
    for run, epochs in ((A, 3), (B, 2)):
        assert points(here, "lfw", run) == [(n, epoch(n).metrics["lfw"]) for n in range(1, epochs + 1)]
    assert METRICS


@pytest.mark.parametrize("here_is_longer", [True, False])
def test_of_two_lengths_of_one_run_the_longer_counts(tmp_path: Path, here_is_longer: bool) -> None:
    short, long = store_at(tmp_path / "short"), store_at(tmp_path / "long")
    add(short, A, 2, end=None)  # ends as failed only when an error came: here it is interrupted
    shutil.copytree(short.root, long.root, dirs_exist_ok=True)
    with JournalWriter(long.journal(A)) as writer:
        writer.append(epoch(3))
    (long.run_artifacts(A) / "scores/best/lfw.npz").write_bytes(b"newer")
    with short.journal(A).open("ab") as file:
        file.write(b"0badf00d {torn")  # a kill in the middle of a line
    source, target = (short, long) if here_is_longer else (long, short)
    done = merge(source.root, target, silent)
    assert (done.same if here_is_longer else done.longer) == [A]
    rows = read_journal(target.journal(A)).accepted()
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert (target.run_artifacts(A) / "scores/best/lfw.npz").read_bytes() == b"newer"


def test_a_run_with_two_histories_is_refused_and_nothing_changes(two: tuple[Store, Store]) -> None:
    here, there = two
    for store, value in ((here, 1.0), (there, 2.0)):
        with JournalWriter(store.journal(A)) as writer:
            writer.append(epoch(4, loss=value))
    before = contents(here.root)
    with pytest.raises(
        RecordError, match=f"1 runs of both have different histories: {A}.*nothing was changed"
    ):
        merge(there.root, here, silent)
    assert contents(here.root) == before


def test_different_files_of_the_same_run_are_both_kept(two: tuple[Store, Store]) -> None:
    here, there = two
    (there.run_artifacts(A) / "report.txt").write_text("theirs")
    (here.run_artifacts(A) / "report.txt").write_text("ours")
    merge(there.root, here, silent)
    kept = {path.read_text() for path in here.run_artifacts(A).rglob("report.txt")}
    assert kept == {"ours", "theirs"}
    assert (here.run_artifacts(A) / "report.txt").read_text() == "ours"


def test_a_run_at_work_is_left_and_named(two: tuple[Store, Store]) -> None:
    here, there = two
    with JournalWriter(there.journal(B)):
        done = merge(there.root, here, silent)
    assert (done.busy, done.new) == ([B], [])
    assert merge(there.root, here, silent).new == [B]


def test_an_import_of_the_same_file_under_another_name_is_one_run(two: tuple[Store, Store]) -> None:
    here, there = two
    add(here, C, 2, **{"workbench.imported": "abc"})
    other = C.replace("03Z", "09Z")
    add(there, other, 2, **{"workbench.imported": "abc"})
    done = merge(there.root, here, silent)
    assert done.twins == {other: C}
    assert other not in here.runs()


def test_what_is_no_store_is_refused(two: tuple[Store, Store], tmp_path: Path) -> None:
    here, _ = two
    with pytest.raises(StoreError, match="holds no journals"):
        merge(tmp_path / "nowhere", here, silent)
    with pytest.raises(StoreError, match="is the store itself"):
        merge(here.root, here, silent)
    assert merge(here.root.parent.parent / "there", here, silent).new == [B]  # a project's folder will do


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from workbench.tracking import merging
from workbench.tracking.store import Store
root, moment, count = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
real = os.replace
def counted(source, target):
    # The count-th file is about to take its name, or has just taken it.
    global count
    count -= 1
    if count == 0 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = counted
print("ready", flush=True)
merging.merge(Path(sys.argv[1]), Store(root, f"sqlite:///{root / 'mlflow.db'}"), lambda line: None)
print("merged", flush=True)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_a_kill_in_the_middle_is_completed_by_the_next_merge(
    tmp_path: Path, root: Path, moment: str, count: int
) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    for run in (A, B, C):
        add(there, run, 3)
    died = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(there.root), str(here.root), moment, str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=1200,
    )
    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "ready\n"), died.stderr
    assert contents(here.root) != contents(there.root)  # the kill fell within the work
    for run in here.runs():  # what is there is whole
        assert read_state(here, run).status == "finished"
        assert contents(here.run_artifacts(run)) == contents(there.run_artifacts(run))
    merge(there.root, here, silent)
    assert contents(here.root) == contents(there.root)


def test_secrets_that_another_machine_recorded_do_not_arrive(tmp_path: Path) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    lines, hidden = zip(*PLANTED.values())
    with JournalWriter(there.journal(A)) as journal:
        journal.append(start(A, tags={"note": lines[0]}, provenance={"command": list(lines)}, time=1.0))
        journal.append(epoch(1))
        journal.append(EndRecord(status="failed", reason=" ".join(lines), time=2.0))
    with there.journal(A).open("ab") as file:
        file.write(f"00000000 {lines[0]}\n".encode())  # a line that is not sound
    texts = "\n".join(lines)
    diff = f"diff --git a/.env b/.env\n+{lines[0]}\n"
    for name, content in (
        ("log.txt", texts.encode()),
        ("uncommitted.diff", diff.encode()),
        ("old.events", b"\x00\xff" + texts.encode()),
        ("plain.npz", b"\x00\xff plain"),
    ):
        path = there.run_artifacts(A) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (there.root / "sweeps" / A).mkdir(parents=True)
    (there.root / "sweeps" / A / "sweep.json").write_text(json.dumps({"base": list(lines)}))
    done = merge(there.root, here, silent)
    assert done.withheld == [f"{A}: artifacts/old.events", f"{A}: artifacts/uncommitted.diff"]
    files = [path for path in here.root.rglob("*") if path.is_file()]
    found = [(path, text) for path in files for text in hidden if text.encode() in path.read_bytes()]
    assert found == []
    assert (here.run_artifacts(A) / "plain.npz").read_bytes() == b"\x00\xff plain"
    assert MARK in (here.run_artifacts(A) / "log.txt").read_text()
    assert len(read_journal(here.journal(A)).rows) == 3
    before = contents(here.root)
    assert merge(there.root, here, silent).same == [A]  # what was masked is not another history
    assert contents(here.root) == before
    with JournalWriter(there.journal(A)) as journal:
        journal.append(start(A, attempt=2, tags={"note": lines[1]}, time=3.0))
    assert merge(there.root, here, silent).longer == [A]
    assert [hidden[1] for path in files if hidden[1].encode() in path.read_bytes()] == []
    assert read_journal(here.journal(A)).attempt == 2
