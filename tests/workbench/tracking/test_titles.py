"""Runs as people call them: `study/name:seed` and `@last`, understood wherever a run is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from stores import epoch, start

from analysis.sources import load
from workbench.cli import program
from workbench.errors import RecordError
from workbench.names import TAG_RERUN
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord
from workbench.tracking.runs import find_run
from workbench.tracking.store import Store, find_store


def write(store: Store, number: int, name: str, seed: int = 0, **fields: object) -> str:
    run = f"20260101T00000{number}Z-0000000{number}"
    with JournalWriter(store.journal(run)) as journal:
        journal.append(start(run, study="orl", name=name, seed=seed, time=1e9 + number, **fields))
        journal.append(epoch(1, loss=1.0, lfw=0.5))
        journal.append(EndRecord(status="finished"))
    return run


@pytest.fixture
def store(project: Path) -> Store:
    return find_store()


def test_a_run_is_found_by_study_name_and_seed(store: Store) -> None:
    first, second = write(store, 1, "base"), write(store, 2, "base", 1)
    other = write(store, 3, "stages.1.loss=CosFace")
    assert find_run(store, "orl/base:0") == first and find_run(store, "orl/base:1") == second
    assert find_run(store, "orl/stages.1.loss=CosFace") == other == find_run(store, "@last")
    with pytest.raises(RecordError, match="'orl/base' has the seeds 0, 1.*give one: orl/base:0"):
        find_run(store, "orl/base")
    with pytest.raises(RecordError, match="no run 'orl/bse:0'.*did you mean 'orl/base:0'"):
        find_run(store, "orl/bse:0")


def test_the_newest_full_run_is_meant_and_neither_a_rerun_nor_a_quick_one(store: Store) -> None:
    write(store, 1, "base")
    meant = write(store, 2, "base")
    write(store, 3, "base", quick=True)
    write(store, 4, "base", tags={TAG_RERUN: meant})
    last = write(store, 5, "sweep", tags={"workbench.kind": "sweep"})
    assert find_run(store, "orl/base:0") == meant
    assert find_run(store, "@last") != last  # a sweep's own run trains nothing


def test_every_command_that_takes_a_run_takes_its_title(store: Store) -> None:
    run = write(store, 1, "base")
    for words in (
        ["show", "orl/base:0"],
        ["show", "@last"],
        ["table", "orl/base:0"],
        ["plot", "@last", "-o", "a.svg"],
    ):
        done = CliRunner().invoke(program, words)
        assert done.exit_code == 0, (words, done.output, done.exception)
    assert load(["@last"]).runs["run"].tolist() == [run]
    with pytest.raises(RecordError, match="no run 'orl/other'"):
        load(["orl/other"])
    with pytest.raises(RecordError, match="no such file"):
        load(["orl/other.json"])


def test_an_empty_store_has_no_last_run(store: Store) -> None:
    with pytest.raises(RecordError, match="no run yet"):
        find_run(store, "@last")


def test_what_a_run_is_called() -> None:
    assert start(study="orl", name="base", seed=3).title == "orl/base:3"
