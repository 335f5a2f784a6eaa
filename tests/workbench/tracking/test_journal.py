"""A journal gives back what was written to it, and nothing else, whatever happens to the file."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys

import pytest

from workbench.errors import RecordError, StoreError
from workbench.tracking import journal as module
from workbench.tracking.journal import JournalWriter, parse_journal, read_journal, rows_from_end, status
from workbench.tracking.journal_file import BEGINNING
from workbench.tracking.rows import CheckpointRecord, EndRecord, EpochRecord, StartRecord


def epoch(number, attempt=1, **metrics):
    values = metrics or {"loss": 1 / number, "lfw": number / 10}
    return EpochRecord(
        attempt=attempt, stage=1, stage_epoch=number, epoch=number, step=number, metrics=values, seconds=1.0
    )


def rows_of_a_resumed_run():
    return [
        StartRecord(run="r", parameters={"text": "ä\n\u2028"}),
        epoch(1),
        CheckpointRecord(epoch=1, file="1", digest="d"),
        epoch(2),
        CheckpointRecord(epoch=2, file="2", digest="d"),
        epoch(3),
        StartRecord(run="r", attempt=2, from_epoch=3),
        epoch(3, attempt=2, loss=0.25),
        epoch(4, attempt=2),
        CheckpointRecord(attempt=2, epoch=4, file="4", digest="d"),
        EndRecord(attempt=2, status="finished"),
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal" / "r.jsonl"


@pytest.fixture
def written(path):
    rows = rows_of_a_resumed_run()
    with JournalWriter(path) as writer:
        for row in rows:
            writer.append(row)
    return rows


def test_rows_come_back_as_written(path, written):
    journal = read_journal(path)
    assert journal.rows == written
    assert journal.damage == []
    assert journal.start == written[0]
    assert journal.attempt == 2


def test_a_line_is_the_checksum_a_space_and_one_object(path, written):
    import json
    import zlib

    for line in path.read_bytes().splitlines():
        assert int(line[:8], 16) == zlib.crc32(line[9:])
        assert line[8:9] == b" "
        assert isinstance(json.loads(line[9:]), dict)


def test_cut_at_any_byte_all_complete_rows_come_back(path, written):
    data = path.read_bytes()
    ends = [place for place, byte in enumerate(data) if byte == 10]
    for cut in range(len(data) + 1):
        journal = parse_journal(path, data[:cut])
        complete = sum(end <= cut for end in ends)  # the line break itself may be missing
        assert journal.rows == written[:complete]
        assert len(journal.damage) == (0 if cut == 0 or cut - 1 in ends or cut in ends else 1)


def test_a_thousand_flipped_bytes_never_give_a_wrong_row(path, written):
    data = path.read_bytes()
    chance = random.Random(20260131)
    for _ in range(1000):
        broken = bytearray(data)
        for _ in range(chance.choice([1, 1, 1, 2, 5, 40])):
            broken[chance.randrange(len(broken))] ^= chance.randrange(1, 256)
        journal = parse_journal(path, bytes(broken))
        assert all(row in written for row in journal.rows)
        assert journal.damage or journal.rows == written
        journal.accepted()
        journal.published()


def test_a_resume_supersedes_what_it_repeats(path, written):
    accepted = read_journal(path).accepted()
    assert [(row.epoch, row.attempt) for row in accepted] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert accepted[2].metrics == {"loss": 0.25}


def test_a_damaged_start_row_does_not_bring_superseded_rows_back(path, written):
    lines = path.read_bytes().split(b"\n")
    lines[6] = b"x" + lines[6][1:]
    journal = parse_journal(path, b"\n".join(lines))
    assert [(row.epoch, row.attempt) for row in journal.accepted()] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert [spot.line for spot in journal.damage] == [7]


def test_views_may_show_rows_up_to_the_checkpoint_until_the_run_is_finished(path, written):
    data = path.read_bytes().splitlines(keepends=True)

    def shown(count, *extra):
        journal = parse_journal(path, b"".join(data[:count]))
        journal.rows += extra
        return [row.epoch for row in journal.published()]

    assert shown(2) == []
    assert shown(6) == [1, 2]
    assert shown(6, EndRecord(status="failed")) == [1, 2]
    assert shown(6, EndRecord(status="failed", final_epoch=3)) == [1, 2, 3]
    assert shown(9) == [1, 2]
    assert shown(11) == [1, 2, 3, 4]
    assert shown(9, EndRecord(status="finished")) == [1, 2, 3, 4]


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_resume_moves_past_a_torn_line_and_changes_no_byte(path, written, torn):
    whole = path.read_bytes()
    kept = whole + b"0" * torn
    path.write_bytes(kept)
    with JournalWriter(path) as writer:
        writer.append(epoch(5, attempt=3))
    assert path.read_bytes().startswith(kept)
    journal = read_journal(path)
    assert journal.rows == [*written, epoch_like(journal.rows[-1], 5)]
    assert len(journal.damage) == 1


def epoch_like(row, number):
    assert row.epoch == number
    return row


def test_a_second_writer_is_refused(path, written, monkeypatch):
    monkeypatch.setattr(module, "LOCK_PATIENCE", 0.05)
    with JournalWriter(path), pytest.raises(RecordError, match="another process is writing"):
        JournalWriter(path)


def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the journal") as caught:
        JournalWriter(tmp_path / "file" / "r.jsonl")
    assert "\n" not in str(caught.value)


def fails_after(monkeypatch, count, code=errno.ENOSPC):
    """Let the next writes put `count` bytes on the disk and then fail as a full disk does."""
    real, left = os.write, [count]

    def write(descriptor, data):
        if left[0] <= 0:
            raise OSError(code, os.strerror(code))
        part = bytes(data[: left[0]])
        left[0] -= len(part)
        return real(descriptor, part)

    monkeypatch.setattr(module.os, "write", write)


def test_a_full_disk_leaves_the_journal_as_it_was(path, written, monkeypatch):
    before = path.read_bytes()
    writer = JournalWriter(path)
    fails_after(monkeypatch, 30)
    with pytest.raises(StoreError, match="No space left"):
        writer.append(epoch(5, attempt=3))
    monkeypatch.undo()
    assert path.read_bytes() == before
    writer.append(epoch(5, attempt=3))
    assert read_journal(path).damage == []
    writer.close()


def test_the_end_of_a_run_is_recorded_on_a_full_disk_from_the_space_held_back(path, monkeypatch):
    writer = JournalWriter(path)
    reserve = path.with_suffix(".d") / "reserve"
    assert reserve.stat().st_size == module.RESERVE_BYTES
    real = os.write

    def write(descriptor, data):
        if reserve.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    monkeypatch.setattr(module.os, "write", write)
    with pytest.raises(StoreError):
        writer.append(epoch(1))
    writer.append(EndRecord(status="failed", reason="no space"))
    writer.close()
    assert read_journal(path).end.reason == "no space"


def test_status_follows_the_end_row_and_the_lock(path):
    with JournalWriter(path) as writer:
        writer.append(StartRecord(run="r"))
        assert status(path) == "running"
        writer.append(EndRecord(status="stopped"))
        assert status(path) == "stopped"
        writer.append(StartRecord(run="r", attempt=2, from_epoch=1))
        assert status(path) == "running"
    assert status(path) == "interrupted"
    with pytest.raises(RecordError):
        status(path.with_name("none.jsonl"))


def test_status_finds_the_last_row_before_a_long_damaged_end(path):
    with JournalWriter(path) as writer:
        writer.append(EndRecord(status="finished"))
    with path.open("ab") as file:
        file.write(b"?" * 300_000)
    assert status(path) == "finished"


WRITER = """
import sys, time
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import StartRecord
writer = JournalWriter(sys.argv[1])
writer.append(StartRecord(run="r"))
print("ready", flush=True)
time.sleep(1200)
"""


def test_a_killed_process_leaves_an_interrupted_run(path, root):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=root, env=os.environ
    )
    assert process.stdout.readline() == b"ready\n"
    assert status(path) == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert status(path) == "interrupted"
    assert len(read_journal(path).rows) == 1


def test_a_process_killed_before_the_first_row_leaves_no_run(path, root):
    code = WRITER.replace('writer.append(StartRecord(run="r"))', "")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=root, env=os.environ
    )
    assert process.stdout.readline() == b"ready\n"
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(RecordError, match="another process is writing"),
    ):
        patch.setattr(module, "LOCK_PATIENCE", 0.05)
        JournalWriter(path)  # the name is taken all the same
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(path.parent.glob("*.jsonl")) == []
    (path.with_suffix(".d") / BEGINNING).write_bytes(b"half a row")
    with JournalWriter(path) as writer:
        writer.append(StartRecord(run="r"))
        assert status(path) == "running"
    assert (len(read_journal(path).rows), read_journal(path).damage) == (1, [])
    assert os.listdir(path.with_suffix(".d")) == []


def test_a_writer_that_never_wrote_leaves_no_journal(path):
    JournalWriter(path).close()
    assert not path.exists()


@pytest.mark.parametrize("size", [1, 7, 100, 1000, 65_536])
def test_rows_are_read_from_the_end_whatever_is_read_at_once(path, written, monkeypatch, size):
    content = path.read_bytes().split(b"\n")
    content[3] = content[3].replace(b"epoch", b"Epoch")  # damaged in the middle, torn at the end
    path.write_bytes(b"\n".join(content) + b"0badc0de {")
    monkeypatch.setattr(module, "TAIL_BYTES", size)
    assert list(rows_from_end(path)) == [row for row in reversed(written) if row is not written[3]]
    path.write_bytes(b"")
    assert list(rows_from_end(path)) == []
