"""The proof that nothing which comes from outside breaks a store: mutations, hostile records, hostile model files.

Each test takes a share of its cases with `WORKBENCH_PART=K/N`, so that the whole can be done in pieces; each
prints what it counted, which is what the table in docs/records.md holds.
"""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import epoch, start

from workbench.cli import main
from workbench.errors import InputError
from workbench.names import UNREADABLE
from workbench.security import foreign_files
from workbench.tracking.journal import encode_line
from workbench.tracking.journal_lines import encode_row
from workbench.tracking.merging import merge
from workbench.tracking.rows import CheckpointRecord, EndRecord, to_json
from workbench.tracking.store import Store, find_store

RUNS = [f"20260101T00000{n}Z-0000000{n}" for n in range(1, 5)]
MUTATIONS, RECORDS = 300, 100
COMMANDS = (
    ["list"],
    ["list", "--json"],
    ["show", RUNS[1]],
    ["show", RUNS[1], "--json"],
    ["table"],
    ["table", "--json"],
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
    assert main(["sync", "--store", str(store.root)]) == 0
    return store


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


def test_no_mutation_of_a_store_falls_or_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = whole_store(tmp_path)
    files = [str(name) for name in foreign_files.files_below(store.root) if not str(name).startswith(".")]
    truth = best(said(capsys, store, ["list", "--json"])[1])
    count: collections.Counter[str] = collections.Counter()
    for number in share(MUTATIONS):
        rng = random.Random(number)
        journals = [name for name in files if name.endswith(".jsonl")]
        path = store.root / (rng.choice(journals) if number % 2 else files[number // 2 % len(files)])
        before = path.read_bytes()
        path.write_bytes(mutated(rng, before))
        try:
            for words in COMMANDS:
                status, text = said(capsys, store, words)
                assert status in (0, 2), (path, words, text)
                assert "Traceback" not in text
                count["commands"] += 1
                if words == ["list", "--json"]:
                    _compare(truth, best(text), count, f"{path} {number}")
        finally:
            path.write_bytes(before)
        count["mutations"] += 1
    with capsys.disabled():
        print(f"\nmutations: {dict(count)}")


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
        except ValueError:  # infinity is no JSON; a hostile writer writes it all the same
            lines.append(encode_line(row))
    return b"".join(lines)


def test_no_hostile_record_leads_out_falls_or_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = whole_store(tmp_path / "here")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret of this machine")
    count: collections.Counter[str] = collections.Counter()
    for number in share(RECORDS):
        rng = random.Random(number)
        theirs = find_store(str(tmp_path / "theirs" / "mlruns"))
        theirs.journals.mkdir(parents=True)
        run = f"20260102T000000Z-{number:08x}"
        theirs.journal(run).write_bytes(hostile_record(rng, run))
        theirs.run_artifacts(run).mkdir(parents=True)
        (theirs.run_artifacts(run) / "spec.py").write_text(f"open({str(outside / 'mark')!r}, 'w')\n")
        (theirs.run_artifacts(run) / "link").symlink_to(outside / "secret")
        os.mkfifo(theirs.run_folder(run) / "pipe")
        began = time.monotonic()
        try:
            done = merge(theirs.root, good, lambda line: None)
            count["left" if done.left else "merged"] += 1
        except InputError:
            count["refused"] += 1
        for words in (*COMMANDS, ["show", run], ["errors", run], ["rerun", run, "--check"], ["resume", run]):
            status, text = said(capsys, good, words)
            assert status in (0, 2), (number, words, text)
            assert "\x1b" not in text and "Traceback" not in text, (number, words)
            count["commands"] += 1
        assert sorted(path.name for path in outside.iterdir()) == ["secret"]
        assert not any(
            b"secret of this" in path.read_bytes() for path in good.root.rglob("*") if path.is_file()
        )
        assert time.monotonic() - began < 300
        good.journal(run).unlink(missing_ok=True)
        shutil.rmtree(good.run_folder(run), ignore_errors=True)
        shutil.rmtree(tmp_path / "theirs")
    with capsys.disabled():
        print(f"\nrecords: {dict(count)}")
