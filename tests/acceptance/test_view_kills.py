"""SIGKILLs of merge, rebuild and sync at any of their steps: done again, the store is what it would have been.

The steps are the changes of files that Python tells of (`sys.addaudithook`): opened to write, renamed, linked, made,
removed. A kill falls before the one that chance names; `WORKBENCH_KILLS` says how many there are of each command.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from stores import Board, epoch, everything, start

from workbench.cli import main
from workbench.tracking.journal import encode_line
from workbench.tracking.rows import CheckpointRecord, EndRecord
from workbench.tracking.store import Store, find_store

KILLS, SEED = int(os.environ.get("WORKBENCH_KILLS", "6")), 2
CHANGES = ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.symlink")
COMMANDS = {"merge": ["merge", "theirs/mlruns"], "rebuild": ["rebuild"], "sync": ["sync"]}


def write_run(store: Store, number: int, epochs: int) -> None:
    """Write a finished run with artifacts and a state, as a training leaves it where its views were away."""
    run = f"20260101T00000{number}Z-0000000{number}"
    parameters = {"batch_size": 16 * number, "loss": "ArcFace"}
    rows: list[Any] = [start(run, name=f"v{number}", time=1e9 + number, parameters=parameters)]
    for each in range(1, epochs + 1):
        state = CheckpointRecord(epoch=each, step=each, file=f"e{each:05d}.safetensors", digest="d", time=1e9)
        rows += [epoch(each, loss=2.0 / each, lfw=0.5 + each / 20 + number / 100), state]
    rows.append(EndRecord(status="finished", time=1e9 + 100))
    for folder in (store.journals, store.run_artifacts(run) / "scores", store.run_checkpoints(run)):
        folder.mkdir(parents=True, exist_ok=True)
    store.journal(run).write_bytes(b"".join(map(encode_line, rows)))
    (store.run_artifacts(run) / "spec.py").write_text(f"x = {number}\n")
    (store.run_artifacts(run) / "scores" / "lfw.npz").write_bytes(bytes(range(256)) * 40)
    (store.run_checkpoints(run) / f"e{epochs:05d}.safetensors").write_bytes(os.urandom(0) + b"state" * 500)


def made(place: Path, command: str) -> Store:
    """Make the project from which a command begins, always at the same place: MLflow keeps whole paths."""
    shutil.rmtree(place, ignore_errors=True)
    kept = place.parent / f"{command}.kept"
    if kept.exists():
        shutil.copytree(kept, place)
        return find_store(str(place / "mlruns"))
    store, theirs = (find_store(str(place / name / "mlruns")) for name in ("", "theirs"))
    for number in (1, 2):
        write_run(store, number, 3)
    if command == "merge":
        for number, epochs in ((2, 3), (3, 4), (4, 2)):
            write_run(theirs, number, epochs)
        same = store.runs()[1]  # a run of both, whose rows are of one writing
        theirs.journal(same).write_bytes(store.journal(same).read_bytes())
    assert main(["sync", "--store", str(store.root)]) == 0
    if command == "sync":
        for number in (3, 4):
            write_run(store, number, 3)
    shutil.copytree(place, kept)
    return store


def below(place: Path, command: str, at: int, tell: int) -> None:
    """In a fork: do a command, count its changes of files, and die before change `at`."""
    os.chdir(place)
    count, own = 0, os.getpid()

    def heard(event: str, words: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(words[2], int) and words[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and str(words[0]).startswith((str(place), "mlruns")):
            count += 1
            if count == at and os.getpid() == own:  # not the second process of a rebuild, whose loss is said
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heard)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        option = "--into" if command == "merge" else "--store"
        status = main([*COMMANDS[command], option, f"{place}/mlruns"])
    os.write(tell, json.dumps([count, out.getvalue()]).encode())
    os._exit(status)


def forked(place: Path, command: str, at: int) -> tuple[int, int, str]:
    """Return the status of a command in a fork, how many changes it made, and what it said."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            below(place, command, at, tell)
        finally:
            os._exit(99)
    os.close(tell)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(hear, "rb") as file:
        count, result = json.loads(file.read() or '[0, ""]')
        return status, count, result


def content(store: Store) -> dict[str, Any]:
    """Return all that a store holds and shows, but for names that are made up and times of files."""
    board = Board(store.tensorboard)
    shown = {
        (run, tag): board.scalars(run, tag) for run in board.runs() for tag in ("loss", "lfw", "best/lfw")
    }
    files = {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for folder in (store.journals, store.checkpoints)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    held = everything(store)
    for run in held.values():
        del run["tags"]["mlflow.workbench.files"]  # tells whether files are as they were by their times
    return {"mlflow": held, "tensorboard": shown, "files": files}


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return where two contents differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other}, key=str)
        return [
            text for name in names for text in differences(one.get(name), other.get(name), f"{where}/{name}")
        ]
    if isinstance(one, list) and isinstance(other, list):
        more, less = [x for x in one if x not in other], [x for x in other if x not in one]
        return [f"{where}: {more[:3]} instead of {less[:3]}"] if one != other else []
    return [] if one == other else [f"{where}: {str(one)[:200]} instead of {str(other)[:200]}"]


def leftovers(store: Store) -> list[str]:
    """Return what lies in a store and is part of nothing."""
    known = {folder.parent for folder in store.artifacts.rglob("artifacts") if any(folder.iterdir())}
    used = {Path(place.removeprefix("file://")).parent for place in _places(store) if (Path(place)).exists()}
    odd = [path.name for path in store.root.iterdir() if path.name.startswith(("rebuild-", "."))]
    odd = [
        name
        for name in odd
        if not name.startswith((".origin-", ".views.lock", ".merge.lock", ".mlflow.lock"))
    ]
    return sorted(str(folder) for folder in known - used) + odd


def _places(store: Store) -> list[str]:
    from stores import query

    return [row[0] for row in query(store, "SELECT artifact_uri FROM runs")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_done_again_is_as_if_it_was_never_killed(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place, rng = tmp_path / "project", random.Random(f"{SEED} {command}")
    store = made(place, command)
    status, changes, result = forked(place, command, 0)
    assert status == 0 and changes > 20, result
    expected, kills, rounds = content(store), 0, 0
    while kills < KILLS:
        store, rounds = made(place, command), rounds + 1
        for _ in range(3):
            status, _, result = forked(place, command, rng.randint(1, changes))
            kills += status == -signal.SIGKILL
            assert status in (0, -signal.SIGKILL), result
        status, _, result = forked(place, command, 0)
        assert status == 0, result
        assert not differences(content(store), expected)
        assert not leftovers(store)
    with capsys.disabled():
        print(f"\n{command}: {kills} kills in {rounds} rounds, {changes} changes of files each; all equal")
