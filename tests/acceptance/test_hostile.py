"""The proof that nothing which comes from outside breaks a store: mutations, hostile records, hostile model files.

Each test takes a share of its cases with `WORKBENCH_PART=K/N`, so that the whole can be done in pieces; each
prints what it counted, which is what the table in docs/records.md holds. A case is done in a fork of this process
with limits of memory and time: nothing is imported anew, and a crash is a finding and not the end of the proof.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import random
import shutil
import signal
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_models import MODELS, hostile_model
from stores import epoch, start

from workbench import FromModel
from workbench.cli import main
from workbench.errors import InputError
from workbench.files import write_json
from workbench.names import UNREADABLE
from workbench.security import foreign_files
from workbench.security.children import bounded_memory
from workbench.tracking.journal import encode_line
from workbench.tracking.journal_lines import encode_row
from workbench.tracking.logged_models import Registration, keep
from workbench.tracking.merging import merge
from workbench.tracking.reader_notes import ReaderNotes, write_notes
from workbench.tracking.rows import CheckpointRecord, EndRecord, to_json
from workbench.tracking.store import Store, find_store

RUNS = [f"20260101T00000{n}Z-0000000{n}" for n in range(1, 5)]
MUTATIONS, RECORDS = 300, 100
MEMORY, SECONDS = 6 << 30, 300  # of a case's fork, beyond what is imported; wall time on a busy machine
COMMANDS = (
    ["list"],
    ["list", "--json"],
    ["show", RUNS[1]],
    ["show", RUNS[1], "--json"],
    ["table"],
    ["table", "--json"],
)

# Each mutation meets these two by two in turn; they work on a copy of the store, as some of them write into it.
OTHERS = (
    ["plot", "-o", "curves.png"],
    ["forecast", RUNS[1]],
    ["results"],
    ["report", "margin", "-o", "page"],
    ["folds"],
    ["effects"],
    ["errors", RUNS[1]],
    ["rerun", RUNS[1], "--check"],
    ["resume", RUNS[1]],
    ["sync"],
    ["rebuild"],
    ["merge"],
)


def share(count: int) -> Iterator[int]:
    """Yield the numbers of the cases of this part."""
    part, parts = map(int, os.environ.get("WORKBENCH_PART", "1/1").split("/"))
    yield from range(part - 1, count, parts)


def whole_store(folder: Path) -> Store:
    """Write four finished runs of six epochs, with artifacts, and bring MLflow level."""
    store = find_store(str(folder / "mlruns"))
    store.journals.mkdir(parents=True)
    for number, run in enumerate(RUNS):
        rows: list[Any] = [
            start(
                run,
                name=f"v{number}",
                time=1e9 + number,
                parameters={"batch_size": 16 * (number + 1), "evaluate": "lfw"},
                stages=({"number": 1, "name": "stage 1", "epochs": 6},),
            )
        ]
        for n in range(1, 7):
            rows.append(
                epoch(n, loss=2.0 / n, accuracy=n / 7, lfw=0.5 + n / 20 + number / 100, lfw_thresh=0.25)
            )
            rows.append(CheckpointRecord(epoch=n, step=n, file=f"e{n:05d}.safetensors", digest="d"))
        rows.append(EndRecord(status="finished"))
        store.journal(run).write_bytes(b"".join(map(encode_line, rows)))
        store.run_artifacts(run).mkdir(parents=True)
        (store.run_artifacts(run) / "spec.py").write_text("x = 1\n")
        beside(store, run)
    assert main(["sync", "--store", str(store.root)]) == 0
    return store


def beside(store: Store, run: str) -> None:
    """Write what lies beside a record: scores of pairs, rates of a protocol, a reader's notes, a registration."""
    for which in ("best", "last"):
        path = store.run_artifacts(run) / "scores" / which / "lfw.npz"
        path.parent.mkdir(parents=True)
        scores = np.linspace(-1, 1, 40, dtype=np.float32)
        np.savez_compressed(path, scores=scores, same=scores > 0.1, pairs="p", epoch=6)
    write_json(
        store.run_artifacts(run) / "ijb" / "IJBX.json", {"set": "ijbx", "one_to_one": {"N1": {"1e-4": 0.5}}}
    )
    write_notes(store, run, ReaderNotes("a note", {"paper": "yes"}))
    keep(store, Registration(run, "faces", time=1e9))


def said(capsys: pytest.CaptureFixture[str], store: Store, words: list[str]) -> tuple[int, str]:
    """Return exit status and output of a command; whatever it raises is a traceback for its user."""
    status = main([*words, "--store", str(store.root)])
    return status, "".join(capsys.readouterr())


def best(text: str) -> dict[str, Any]:
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {row["run"]: row for row in rows}


def mutated(rng: random.Random, content: bytes) -> bytes:
    """Return a file's content as a fault of a disk, a program or a person leaves it."""
    changed = bytearray(content)
    kind = rng.choice(("flip", "flip", "flips", "cut", "line", "double", "zero", "empty"))
    if kind in ("flip", "flips") and changed:
        for _ in range(1 if kind == "flip" else 20):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del changed[rng.randrange(len(changed) + 1) :]
    elif kind in ("line", "double"):
        lines = bytes(changed).split(b"\n")
        at = rng.randrange(len(lines))
        lines[at : at + 1] = [] if kind == "line" else [lines[at]] * 2
        changed = bytearray(b"\n".join(lines))
    elif kind == "zero" and changed:
        at = rng.randrange(len(changed))
        changed[at : at + 100] = bytes(len(changed[at : at + 100]))
    else:
        changed.clear()
    return bytes(changed)


def open_in_fork(work: Any, *words: Any) -> dict[str, int]:
    """Do a case in a fork, bounded in memory and time; return what it counted. A signal or an error fails."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            with bounded_memory(MEMORY):
                found = work(*words)
            os.write(tell, json.dumps(found).encode())
            status = 0
        except BaseException:
            os.write(tell, traceback.format_exc()[-3000:].encode())
        finally:
            os._exit(status)
    os.close(tell)
    with os.fdopen(hear, "rb") as file:
        said = file.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, (status, words, said)
    counted: dict[str, int] = json.loads(said)
    return counted


def spoken(words: list[str]) -> tuple[int, str]:
    """Return exit status and output of a command; whatever it raises is a traceback for its user."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = main(words)
    return status, out.getvalue()


def mutate(store: Store, number: int, files: list[str]) -> tuple[Path, bytes]:
    """Damage one file of a store: each in turn, every other time a journal."""
    rng = random.Random(number)
    journals = [name for name in files if name.endswith(".jsonl")]
    path = store.root / (rng.choice(journals) if number % 2 else files[number // 2 % len(files)])
    before = path.read_bytes()
    path.write_bytes(mutated(rng, before))
    return path, before


def one_mutation(store: Store, number: int, files: list[str], truth: dict[str, Any]) -> dict[str, int]:
    """Do all of one mutation's commands."""
    count: collections.Counter[str] = collections.Counter({"mutations": 1})
    path, before = mutate(store, number, files)
    try:
        for words in COMMANDS:
            status, text = spoken([*words, "--store", str(store.root)])
            assert status in (0, 2) and "Traceback" not in text, (path, words, status, text)
            count["commands"] += 1
            if words == ["list", "--json"]:
                _compare(truth, best(text), count, f"{path} {number}")
        place = Path(tempfile.mkdtemp(prefix="mutation-"))
        for words in (OTHERS[number % len(OTHERS)], OTHERS[(number + 5) % len(OTHERS)]):
            copied, work = place / "copy" / "mlruns", place / "work"
            shutil.rmtree(place / "copy", ignore_errors=True)
            shutil.copytree(store.root, copied)
            work.mkdir(exist_ok=True)
            os.chdir(work)
            more = (
                [str(copied), "--into", str(work / "mlruns")]
                if words == ["merge"]
                else ["--store", str(copied)]
            )
            status, text = spoken([*words, *more])
            assert status in (0, 1, 2) and "Traceback" not in text, (path, words, status, text)
            assert status != 1 or words[0] in ("merge", "sync", "rebuild"), (path, words, text)
            count["commands"] += 1
        shutil.rmtree(place)
    finally:
        path.write_bytes(before)
    return dict(count)


def test_no_mutation_of_a_store_falls_or_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = whole_store(tmp_path)
    files = [str(name) for name in foreign_files.files_below(store.root) if not str(name).startswith(".")]
    truth = best(said(capsys, store, ["list", "--json"])[1])
    warm_up(store)
    count: collections.Counter[str] = collections.Counter()
    for number in share(MUTATIONS):
        count.update(open_in_fork(one_mutation, store, number, files, truth))
    with capsys.disabled():
        print(f"\nmutations: {dict(count)}")


def warm_up(store: Store) -> None:
    """Do in this process what imports most, so that no fork has to."""
    spoken(["table", "--store", str(store.root)])
    with tempfile.TemporaryDirectory() as place:
        spoken(["plot", "-o", f"{place}/x.png", "--store", str(store.root)])
        spoken(["forecast", RUNS[1], "--store", str(store.root)])
        spoken(["report", "margin", "-o", place, "--store", str(store.root)])


def _compare(truth: dict[str, Any], now: dict[str, Any], count: collections.Counter[str], where: str) -> None:
    for run, row in truth.items():
        if run not in now:
            count["absent"] += 1
        elif now[run].get("remarks"):
            count["told"] += 1
        else:
            changed = {name for name, value in row["best"].items() if now[run]["best"].get(name) != value}
            assert not changed or now[run]["status"] in (UNREADABLE, "interrupted"), (where, run, changed)


HOSTILE = (
    "..",
    "../../x",
    "/etc/passwd",
    "\x1b]0;x\x07",
    "[/x]",
    "=1+1",
    "<script>",
    "a\nb",
    "x" * 10_000,
    1,
    1.5,
    True,
    None,
    [],
    {},
    [[]],
    {"a": {}},
    10**30,
    -1,
    float("inf"),
    "nan",
    "\ud800",
)


def hostile_record(rng: random.Random, run: str) -> bytes:
    """Return the journal of a run of which some fields, with sound checksums, hold what they never should."""
    rows = [
        start(run, stages=({"number": 1, "name": "s", "epochs": 2},)),
        epoch(1),
        epoch(2),
        EndRecord(status="finished"),
    ]
    lines = []
    for row in rows:
        plain = to_json(row)
        for _ in range(rng.choice((0, 1, 1, 3))):
            place = plain
            name = rng.choice([name for name in plain if name != "kind"])
            if isinstance(plain[name], dict) and plain[name] and rng.random() < 0.5:
                place, name = plain[name], rng.choice(list(plain[name]))
            place[name] = rng.choice(HOSTILE)
        try:
            lines.append(encode_row(plain))
        except ValueError:  # infinity is not JSON; a hostile writer writes it all the same
            lines.append(encode_line(row))
    return b"".join(lines)


def test_no_hostile_record_leads_out_falls_or_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = whole_store(tmp_path / "here")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret of this machine")
    warm_up(good)
    count: collections.Counter[str] = collections.Counter()
    for number in share(RECORDS):
        count.update(open_in_fork(one_record, tmp_path, good, outside, number))
    with capsys.disabled():
        print(f"\nrecords: {dict(count)}")


def one_record(tmp_path: Path, good: Store, outside: Path, number: int) -> dict[str, int]:
    """Merge a store with one hostile record and do what a user might with it."""
    count: collections.Counter[str] = collections.Counter({"records": 1})
    rng = random.Random(number)
    theirs = find_store(str(tmp_path / "theirs" / "mlruns"))
    theirs.journals.mkdir(parents=True)
    run = f"20260102T000000Z-{number:08x}"
    theirs.journal(run).write_bytes(hostile_record(rng, run))
    theirs.run_artifacts(run).mkdir(parents=True)
    (theirs.run_artifacts(run) / "spec.py").write_text(f"open({str(outside / 'mark')!r}, 'w')\n")
    (theirs.run_artifacts(run) / "link").symlink_to(outside / "secret")
    os.mkfifo(theirs.run_folder(run) / "pipe")
    os.chdir(tmp_path)
    try:
        done = merge(theirs.root, good, lambda line: None)
        count["left" if done.left else "merged"] += 1
    except InputError:
        count["refused"] += 1
    for words in (*COMMANDS, ["show", run], ["errors", run], ["rerun", run, "--check"], ["resume", run]):
        status, text = spoken([*words, "--store", str(good.root)])
        assert status in (0, 2), (number, words, text)
        assert "\x1b" not in text and "Traceback" not in text, (number, words)
        count["commands"] += 1
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert not any(b"secret of this" in path.read_bytes() for path in good.root.rglob("*") if path.is_file())
    good.journal(run).unlink(missing_ok=True)
    shutil.rmtree(good.run_folder(run), ignore_errors=True)
    shutil.rmtree(tmp_path / "theirs")
    return dict(count)


@pytest.mark.tensorflow
def test_no_hostile_model_file_runs_crashes_or_takes_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow  # noqa: F401 - once, for all forks

    from workbench.commands import export, verify  # noqa: F401

    count: collections.Counter[str] = collections.Counter()
    for number in share(MODELS):
        count.update(open_in_fork(one_model, tmp_path, number))
    with capsys.disabled():
        print(f"\nmodels: {dict(count)}")


def one_model(tmp_path: Path, number: int) -> dict[str, int]:
    """Open one hostile model file in the ways that a user has."""
    count: collections.Counter[str] = collections.Counter({"models": 1})
    folder, mark = tmp_path / str(number), tmp_path / "mark"
    folder.mkdir()
    (folder.parent / "mlruns").mkdir(exist_ok=True)
    os.chdir(folder)
    kind, path = hostile_model(number, folder, mark)
    for words in (["verify", str(path), "a.png", "b.png"], ["export", str(path), "--format", "onnx"]):
        status, text = spoken(words)
        assert status == 2 and text.startswith("error: ") and text.count("\n") == 1, (
            kind,
            number,
            words,
            text,
        )
        count["commands"] += 1
    with contextlib.suppress(InputError):
        FromModel(str(path)).look(find_store(str(tmp_path / "mlruns")))
        count["passed the look"] += 1
    assert not mark.exists(), (kind, number)
    count[kind] += 1
    return dict(count)
