"""What a list shows and hides, notes and tags, the trash, two runs side by side: as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stores import epoch, query, start

from workbench.cli import main
from workbench.tracking import removed_runs
from workbench.tracking.journal import JournalWriter
from workbench.tracking.reader_notes import read_notes
from workbench.tracking.rows import EndRecord
from workbench.tracking.runs import find_run
from workbench.tracking.store import Store, find_store


def write(
    store: Store, number: int, name: str = "base", seed: int = 0, best: float = 0.5, **fields: object
) -> str:
    run = f"20260101T00000{number}Z-0000000{number}"
    decay = {"weight_decay": 5e-4} if name != "base" else {}
    row = start(run, study=str(fields.pop("study", "orl")), name=name, seed=seed, time=1e9 + number,
                parameters={"batch_size": 32, **decay, "seed": seed}, stages=({"number": 1, "epochs": 2},), **fields)  # fmt: skip
    with JournalWriter(store.journal(run)) as journal:
        journal.append(row)
        journal.append(epoch(1, loss=1.0, lfw=best - 0.1))
        journal.append(epoch(2, loss=0.5, lfw=best))
        journal.append(EndRecord(status="finished"))
    return run


@pytest.fixture
def store(project: Path) -> Store:
    found = find_store()
    write(found, 1, best=0.7)
    write(found, 2, "decay", seed=1, best=0.9)
    write(found, 3, "decay", seed=0, best=0.8)
    write(found, 4, quick=True)
    return found


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(list(words)) == status
    shown = capsys.readouterr()
    return shown.out if status == 0 else shown.err


def test_a_list_shows_seeds_and_counts_what_it_hides(store: Store, capsys) -> None:
    text = said(capsys, "list")
    assert text.splitlines()[0].split()[:4] == ["run", "study", "name", "seed"]
    assert "not shown: 1 quick run (--quick shows it)" in text and "00000004" not in text
    assert "not shown" not in said(capsys, "list", "--quick")


def test_settings_that_do_not_fit_on_a_terminal_are_named(project: Path, capsys, monkeypatch) -> None:
    for number in range(6):
        values = {f"{'long_setting_' * 3}{bit}": number >> bit & 1 for bit in range(3)}
        run = f"20260101T00000{number}Z-0000000{number}"
        row = start(
            run, study="wide", name="v", seed=0, parameters=values, stages=({"number": 1, "epochs": 1},)
        )
        with JournalWriter(find_store().journal(run)) as journal:
            journal.append(row)
    text = said(capsys, "list")
    assert all(f"{'long_setting_' * 3}{bit}" in text.splitlines()[0] for bit in range(3))
    assert "more that differs" not in text  # a pipe has room for all
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    head, *_, last = said(capsys, "list").strip().splitlines()
    left_out = [
        f"{'long_setting_' * 3}{bit}" for bit in range(3) if f"{'long_setting_' * 3}{bit}" not in head
    ]
    assert left_out and last == f"more that differs, for --columns: {', '.join(left_out)}"


def test_a_list_is_sorted_and_has_the_columns_that_are_asked_for(store: Store, capsys) -> None:
    def titles(*words: str) -> list[str]:
        return [
            line.split()[0] for line in said(capsys, "list", "--columns", "title", *words).splitlines()[1:4]
        ]

    assert titles("--sort", "best") == ["orl/decay:1", "orl/decay:0", "orl/base:0"]
    assert titles("--sort", "lfw", "--reverse") == ["orl/base:0", "orl/decay:0", "orl/decay:1"]
    assert titles("--sort", "weight_decay")[-1] == "orl/base:0"  # what has no value is last
    assert titles("--sort", "seed")[-1] == "orl/decay:1"
    text = said(capsys, "list", "--columns", "name,lfw,batch_size")
    assert text.splitlines()[0].split() == ["name", "lfw", "batch_size"] and "0.9000 @2" in text
    assert "no column 'bset'; did you mean 'best'" in said(capsys, "list", "--sort", "bset", status=2)
    assert "did you mean 'batch_size'" in said(capsys, "list", "--columns", "batchsize", status=2)


def test_sets_that_choose_no_epoch_are_shown_at_the_epoch_that_was_chosen(store: Store, capsys) -> None:
    run = "20260101T000005Z-00000005"
    row = start(run, study="own", parameters={"select": "accuracy"}, stages=({"number": 1, "epochs": 2},))
    with JournalWriter(store.journal(run)) as journal:
        journal.append(row)
        journal.append(epoch(1, accuracy=0.6, lfw=0.9))
        journal.append(epoch(2, accuracy=0.7, lfw=0.8))
    text = said(capsys, "list", "own", "--columns", "best")
    assert text.splitlines()[1].strip() == "accuracy 0.7000 @2, lfw 0.8000"  # not lfw's own best, epoch 1


def test_what_is_not_there_is_named(store: Store, capsys, tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'}: no store is here" in said(
        capsys, "list", "--store", str(tmp_path / "none"), status=2
    )
    project = str(store.root.parent)
    assert f"did you mean {store.root}?" in said(capsys, "show", "@last", "--store", project, status=2)
    assert "no study 'olr'; did you mean 'orl'?" in said(capsys, "list", "olr", status=2)
    assert "'orl' is a study, not a run; name one of its runs" in said(capsys, "show", "orl", status=2)
    assert "did you mean 'orl/decay:1' or 'orl/decay:0'?" in said(capsys, "show", "deccay", status=2)
    assert "there is orl/base:0" in said(capsys, "show", "orl/base:7", status=2)


def test_show_leads_with_curves_and_what_differs(store: Store, capsys) -> None:
    lines = said(capsys, "show", "orl/decay:1").splitlines()
    assert next(n for n, line in enumerate(lines) if line.startswith("lfw")) < 6
    assert "lfw   ▁█  best 0.9000 @2    last 0.9000" in lines
    assert "apart from the other 2 runs of orl: weight_decay = 0.0005, seed = 1" in lines
    assert not any("batch_size = 32" in line for line in lines)
    assert "  batch_size = 32" in said(capsys, "show", "orl/decay:1", "--settings").splitlines()


def test_two_runs_side_by_side(store: Store, capsys) -> None:
    text = said(capsys, "diff", "orl/base", "orl/decay:1")
    assert "weight_decay" in text and "off" in text and "batch_size" not in text
    assert "better by 0.2000" in text  # lfw
    assert "not comparable" in text  # the loss, under another weight decay
    found = json.loads(said(capsys, "diff", "orl/base", "orl/decay:1", "--json"))
    assert found["settings"]["weight_decay"] == [None, "0.0005"]
    assert found["best"]["lfw"][1]["epoch"] == 2


def test_notes_and_tags_are_kept_beside_the_record_and_shown(store: Store, capsys, monkeypatch) -> None:
    monkeypatch.setattr("workbench.views.removed.show_again", lambda store, run: "")
    before = store.journal(find_run(store, "orl/base:0")).read_bytes()
    said(capsys, "note", "orl/base:0", "odd", "second", "epoch")
    said(capsys, "tag", "orl/base:0", "paper", "by=ana")
    assert said(capsys, "note", "orl/base:0") == "odd second epoch\n"
    assert "tags: paper, by=ana" in said(capsys, "show", "orl/base:0")
    assert "paper, by=ana" in said(capsys, "list", "--tag", "by=ana") and "decay" not in said(
        capsys, "list", "--tag", "paper"
    )
    assert "did you mean 'paper'" in said(capsys, "tag", "orl/base:0", "-d", "papr", status=2)
    assert "is not a tag" in said(capsys, "tag", "orl/base:0", "workbench.seed=3", status=2)
    assert said(capsys, "tag", "orl/base:0", "-d", "paper") == "orl/base:0: by=ana\n"
    said(capsys, "note", "orl/base:0", "--delete")
    assert read_notes(store, find_run(store, "orl/base:0")).note == ""
    assert store.journal(find_run(store, "orl/base:0")).read_bytes() == before


def test_a_removed_run_is_gone_everywhere_and_comes_back_whole(store: Store, capsys, monkeypatch) -> None:
    monkeypatch.setattr("workbench.views.removed.show_again", lambda store, run: "")
    run = find_run(store, "orl/decay:0")
    (store.run_checkpoints(run)).mkdir(parents=True)
    (store.run_checkpoints(run) / "best.safetensors").write_bytes(b"state")
    before = store.journal(run).read_bytes()
    assert f"`workbench restore {run}` brings it back" in said(capsys, "remove", "orl/decay:0")
    assert "1 in the trash" in said(capsys, "list") and run not in store.runs()
    assert "is in the trash; `workbench restore orl/decay:0`" in said(capsys, "show", "orl/decay:0", status=2)
    assert "orl/decay:0" in said(capsys, "restore")
    said(capsys, "restore", "orl/decay:0")
    assert store.journal(run).read_bytes() == before and removed_runs.removed(store) == []
    assert (store.run_checkpoints(run) / "best.safetensors").read_bytes() == b"state"
    assert "the trash is empty" in said(capsys, "restore", "orl/decay:0", status=2)


def test_a_run_that_another_one_needs_or_that_is_at_work_stays(store: Store, capsys) -> None:
    trunk = find_run(store, "orl/base:0")
    write(store, 5, "branch", trunk={"run": trunk, "epoch": 1, "stage": 1, "step": 1})
    assert "is a branch of it" in said(capsys, "remove", "orl/base:0", status=2)
    with JournalWriter(store.journal(find_run(store, "orl/decay:1"))):
        assert "is still running" in said(capsys, "remove", "orl/decay:1", status=2)


def test_mlflow_shows_notes_and_hides_removed_runs(project: Path, schema: Path, capsys) -> None:
    import shutil

    store = find_store()
    shutil.copy(schema, store.database)
    run = write(store, 1)
    said(capsys, "tag", run, "paper")
    said(capsys, "note", run, "odd")
    words = "SELECT t.value FROM tags t JOIN runs r USING (run_uuid) WHERE t.key = ? AND r.lifecycle_stage = 'active'"
    assert query(store, words, "paper") == [("yes",)] and query(store, words, "note") == [("odd",)]
    said(capsys, "tag", run, "-d", "paper")
    assert query(store, words, "paper") == []
    said(capsys, "remove", run)
    assert query(store, words, "note") == []
    said(capsys, "restore", run)
    assert query(store, words, "note") == [("odd",)]


def test_the_program_alone_and_a_group_alone_show_their_help(capsys) -> None:
    assert "Commands:" in said(capsys) and "Usage:" in said(capsys, "data")
