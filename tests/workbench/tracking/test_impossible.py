"""Rows that no record can hold, journals that are damaged or taken away: said, and only of the run itself."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from stores import epoch, record, start

from workbench.cli import main
from workbench.errors import RecordError
from workbench.names import UNREADABLE
from workbench.tracking.journal import encode_line, read_journal, status
from workbench.tracking.journal_lines import encode_row
from workbench.tracking.remarks import remarks
from workbench.tracking.rows import CheckpointRecord, EndRecord, to_json
from workbench.tracking.runs import read_state, read_states
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker

GOOD, BAD, THIRD = (f"20260101T00000{n}Z-0000000{n}" for n in (1, 2, 3))


def store_at(folder: Path) -> Store:
    root = folder / "mlruns"
    (root / "journal").mkdir(parents=True)
    return Store(root, f"sqlite:///{root / 'mlflow.db'}")


def write(store: Store, run: str, *lines: bytes) -> Path:
    path = store.journal(run)
    path.write_bytes(b"".join(lines))
    return path


def changed(record_: Any, **fields: Any) -> bytes:
    """Return the line, with a sound checksum, of a row whose fields hold what they cannot."""
    return encode_row({**to_json(record_), **fields})


def raw(text: str) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text.encode()), text.encode())


def whole(run: str) -> list[bytes]:
    rows = [
        start(run),
        *(epoch(n, loss=1.0 / n, lfw=n / 10, lfw_thresh=0.2) for n in (1, 2, 3)),
        EndRecord(status="finished"),
    ]
    return [encode_line(row) for row in rows]


IMPOSSIBLE = {
    "epoch of text": changed(epoch(1), epoch="1"),
    "epoch of half": changed(epoch(1), epoch=1.5),
    "epoch of truth": changed(epoch(1), epoch=True),
    "epoch of a list": changed(epoch(1), epoch=[1]),
    "huge epoch": changed(epoch(1), epoch=10**12),
    "infinite epoch": raw(json.dumps({**to_json(epoch(1)), "epoch": float("inf")})),
    "metrics of a list": changed(epoch(1), metrics=[1]),
    "metric of text": changed(epoch(1), metrics={"lfw": "good"}),
    "metric of truth": changed(epoch(1), metrics={"lfw": True}),
    "metric of an object": changed(epoch(1), metrics={"lfw": {}}),
    "huge metric": changed(epoch(1), metrics={"lfw": 10**400}),
    "nameless metric": changed(epoch(1), metrics={"": 1.0}),
    "name of a megabyte": changed(epoch(1), metrics={"x" * 10**6: 1.0}),
    "time of text": changed(epoch(1), time="now"),
    "time after all days": changed(epoch(1), time=1e300),
    "time before all days": changed(epoch(1), time=-1.0),
    "seconds of a list": changed(epoch(1), seconds=[]),
    "status of nobody": changed(EndRecord(status="finished"), status="done"),
    "status of a list": changed(EndRecord(status="finished"), status=["finished"]),
    "reason of a number": changed(EndRecord(status="finished"), reason=3),
    "file outside": changed(CheckpointRecord(epoch=1, file="x", digest="d"), file="../../x"),
    "parameters of a list": changed(start(BAD), parameters=[]),
    "parameter of an object": changed(start(BAD), parameters={"loss": {}}),
    "stages of numbers": changed(start(BAD), stages=[1]),
    "stages without epochs": changed(start(BAD), stages=[{"number": 1}]),
    "epochs of text": changed(start(BAD), stages=[{"number": 1, "name": "a", "epochs": "many"}]),
    "trunk of text": changed(start(BAD), trunk="x"),
    "trunk outside": changed(start(BAD), trunk={"run": "../x", "epoch": 1}),
    "tags of numbers": changed(start(BAD), tags={"a": 1}),
    "facts of text": changed(start(BAD), provenance="x"),
    "path of a number": changed(start(BAD), provenance={"spec_path": 3}),
    "spec of a list": changed(start(BAD), spec=[]),
    "start of another run": changed(start(BAD), run=GOOD),
    "time of a start": changed(start(BAD), time=1e18),
    "no object": raw("[1, 2]"),
    "a text": raw('"start"'),
    "unknown kind": raw('{"kind": "verdict"}'),
    "kind of a list": raw('{"kind": ["start"]}'),
    "no json": raw("{"),
    "deep": raw('{"kind": "start", "run": "x", "spec": ' + '{"a":' * 300 + "1" + "}" * 300 + "}"),
    "very deep": raw("[" * 100_000 + "]" * 100_000),
    "not a number": raw('{"kind": "epoch", "epoch": NaN}'),
}


@pytest.mark.parametrize("line", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_a_row_that_cannot_be_makes_its_run_unreadable_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    store = store_at(tmp_path)
    write(store, GOOD, *whole(GOOD))
    lines = whole(BAD)
    write(store, BAD, *([line, *lines[1:]] if b'"start"' in line[:40] else [*lines[:-1], line]))
    states = {state.run: state for state in read_states(store)}
    assert states[BAD].status == UNREADABLE and not states[BAD].journal.rows
    assert states[GOOD].status == "finished" and not remarks(states[GOOD].journal)
    for command in (["list"], ["show", BAD], ["show", BAD, "--json"], ["list", "--json"]):
        assert main([*command, "--store", str(store.root)]) == 0
        shown = capsys.readouterr().out
        assert "unreadable: " in shown and (BAD in shown)


def test_one_unreadable_run_leaves_table_and_plot_to_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_at(tmp_path)
    write(store, GOOD, *whole(GOOD))
    write(store, BAD, *whole(BAD)[:-1], IMPOSSIBLE["metric of text"])
    assert main(["table", "--store", str(store.root)]) == 0
    result = capsys.readouterr()
    assert "0.3" in result.out and "unreadable" in result.out + result.err


def test_what_is_no_file_is_unreadable_too(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    write(store, GOOD, *whole(GOOD))
    store.journal(BAD).mkdir()
    store.journal(THIRD).symlink_to(store.journal(GOOD))
    states = {state.run: state for state in read_states(store)}
    assert [states[run].status for run in (GOOD, BAD, THIRD)] == ["finished", UNREADABLE, UNREADABLE]


def test_list_show_and_json_tell_the_same_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_at(tmp_path)
    lines = whole(GOOD)
    lines[2] = lines[2].replace(b"0.2", b"0.9")  # a digit of the best value changed, the checksum not
    write(store, GOOD, *lines)
    result = remarks(read_state(store, GOOD).journal)
    assert result == [
        "line 3 of its journal not trusted: the checksum does not fit",
        "epoch 2 not in its journal",
    ]
    for command in (["list"], ["show", GOOD]):
        assert main([*command, "--store", str(store.root)]) == 0
        shown = capsys.readouterr().out
        assert all(f"note: {GOOD}: {text}" in shown for text in result)
    for command in (["list", "--json"], ["show", GOOD, "--json"]):
        assert main([*command, "--store", str(store.root)]) == 0
        assert json.loads(capsys.readouterr().out)["remarks"] == result


def test_a_last_epoch_that_was_taken_away_is_missed(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    lines = whole(GOOD)
    state = encode_line(CheckpointRecord(epoch=3, step=3, file="e00003.safetensors", digest="d"))
    write(store, GOOD, *lines[:-1], state, lines[-1])
    assert remarks(read_state(store, GOOD).journal) == []
    write(store, GOOD, *lines[:-2], state, lines[-1])
    assert remarks(read_state(store, GOOD).journal) == ["epoch 3 not in its journal"]


def test_a_sound_run_has_no_remarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_at(tmp_path)
    write(store, GOOD, *whole(GOOD))
    assert main(["show", GOOD, "--json", "--store", str(store.root)]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"run", "study", "name", "status", "best"}


def test_the_damage_of_a_trunk_is_told_of_its_branch(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    write(store, GOOD, *whole(GOOD)[:1], b"torn\n", *whole(GOOD)[2:])
    write(
        store, BAD, encode_line(start(BAD, trunk={"run": GOOD, "epoch": 3})), encode_line(epoch(4, loss=1.0))
    )
    assert any(GOOD in text and "line 2" in text for text in remarks(read_state(store, BAD).journal))
    store.journal(GOOD).unlink()
    assert "not in this store" in remarks(read_state(store, BAD).journal)[0]


def test_a_state_that_became_durable_after_the_end_changes_no_end(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    late = encode_line(CheckpointRecord(epoch=3, file="e", digest="d"))
    write(store, GOOD, *whole(GOOD)[:-1], encode_line(EndRecord(status="failed", reason="nan")), late)
    assert status(store.journal(GOOD)) == "failed"
    assert read_state(store, GOOD).status == "failed" and read_state(store, GOOD).journal.end.reason == "nan"


# ---------------------------------------------------------------- while it is written


def tracked(store: Store, said: list[str]) -> Tracker:
    return Tracker.open(store, start(GOOD, time=1.0), say=said.append, views=[])


def test_no_row_follows_an_end(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with tracked(store, []) as tracker:
        record(tracker, range(1, 3))
        tracker.end("failed", "nan")
        with pytest.raises(RecordError, match="no row follows"):
            tracker.checkpoint(CheckpointRecord(epoch=2, file="x", digest="d"))
    assert isinstance(read_journal(store.journal(GOOD)).rows[-1], EndRecord)


@pytest.mark.parametrize("how", ["deleted", "replaced", "cut short"])
def test_a_journal_that_is_taken_away_is_kept_in_a_new_one(tmp_path: Path, how: str) -> None:
    store, said = store_at(tmp_path), []
    path = store.journal(GOOD)
    with tracked(store, said) as tracker:
        record(tracker, range(1, 3))
        if how == "deleted":
            path.unlink()
        elif how == "replaced":
            (tmp_path / "other").write_text("somebody's file\n")
            os.replace(tmp_path / "other", path)
        else:
            os.truncate(path, 10)
        record(tracker, range(3, 4))
        tracker.end("finished")
    kept = read_journal(path)
    assert [row.epoch for row in kept.accepted()] == [1, 2, 3] and not kept.damage
    assert kept.end.status == "finished"
    assert len(said) == 1 and how in said[0]
    if how == "replaced":
        assert (store.run_folder(GOOD) / "replaced-1").read_text() == "somebody's file\n"
