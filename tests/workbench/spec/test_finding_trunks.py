"""Which runs of a store are the trunk of a branch, and which are not: without training anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import tiny

from workbench import CosFace, Experiment, Stage
from workbench.spec.branch import trunk_of
from workbench.tracking import branch_history, provenance
from workbench.tracking.journal import JournalWriter, first_start, read_journal
from workbench.tracking.rows import CheckpointRecord, EndRecord, EpochRecord, StartRecord
from workbench.tracking.store import Store, find_store
from workbench.train import checkpoint, checkpoint_file, shared_trunk

DATA = {"faces": "abc"}
BRANCH = tiny().branch(at_epoch=4, stages=Stage(loss=CosFace(), epochs=2))


@pytest.fixture
def store(project: Path) -> Store:
    return find_store(str(project / "mlruns"))


def wanted(**changes: Any) -> shared_trunk.TrunkRequest:
    root = trunk_of(BRANCH)
    assert root is not None
    return dataclasses.replace(shared_trunk.TrunkRequest(root, DATA, quick=False, steps=None), **changes)


def record(
    store: Store,
    number: int,
    experiment: Experiment,
    *,
    epochs: int = 4,
    status: str | None = "finished",
    kept: int | None = 4,
    data: Any = DATA,
    **facts: Any,
) -> str:
    """Write a run of so many epochs as the engine leaves it, with its state after `kept`."""
    run = f"20260101T000000Z-{number:08x}"
    provenance_ = {"data": data, "steps": None, **facts.pop("provenance", {})}
    first = StartRecord(
        run=run,
        id=experiment.id,
        seed=experiment.seed,
        spec=experiment.to_json(),
        provenance=provenance_,
        **facts,
    )
    rows = [
        EpochRecord(stage=1, stage_epoch=e, epoch=e, step=3 * e, metrics={"loss": 1.0 / e}, seconds=1.0)
        for e in range(first.from_epoch, epochs + 1)
    ]
    with JournalWriter(store.journal(run)) as writer:
        for row in (first, *rows, CheckpointRecord(epoch=epochs, file="x", digest="y")):
            writer.append(row)
        if status:
            writer.append(EndRecord(status=status))
    if kept is not None:
        facts_ = {"epoch": kept, "epoch_step": 0, "step": 3 * kept}
        path = store.run_checkpoints(run) / checkpoint_file.file_name(kept, 3 * kept)
        checkpoint_file.write(path, checkpoint.State({"a": np.arange(3)}, facts_))
    return run


def test_a_run_with_the_settings_seed_and_data_is_found_with_its_state(store: Store) -> None:
    run = record(store, 1, tiny(stages=trunk_of(BRANCH).stages))  # type: ignore[union-attr]
    found = shared_trunk.look(store, wanted())
    assert found is not None
    assert found.state is not None
    assert (found.run, found.state.facts["epoch"]) == (run, 4)


def test_a_longer_run_serves_where_it_kept_the_state(store: Store) -> None:
    run = record(store, 1, tiny(name="whole"), epochs=5, kept=5)
    assert shared_trunk.look(store, wanted()) is None
    facts = {"epoch": 4, "epoch_step": 0, "step": 12}
    path = store.run_checkpoints(run) / checkpoint_file.kept_name(4)
    checkpoint_file.write(path, checkpoint.State({"a": np.arange(3)}, facts))
    found = shared_trunk.look(store, wanted())
    assert found is not None
    assert found.run == run
    path.write_bytes(path.read_bytes()[:-1])  # damaged: as good as not there
    assert shared_trunk.look(store, wanted()) is None


def test_a_state_within_the_next_epoch_is_not_that_of_the_epoch(store: Store) -> None:
    run = record(store, 1, tiny(), epochs=5, kept=None)
    facts = {"epoch": 4, "epoch_step": 2, "step": 14}
    path = store.run_checkpoints(run) / checkpoint_file.file_name(4, 14)
    checkpoint_file.write(path, checkpoint.State({"a": np.arange(3)}, facts))
    assert shared_trunk.look(store, wanted()) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"experiment": tiny(seed=1)},
        {"experiment": tiny(label_smoothing=0.1)},
        {"experiment": tiny(batch_size=8)},
        {"quick": True},
        {"data": {"faces": "abd"}},
        {"data": {}},
        {"provenance": {"steps": 4}},
        {"parent": "a-sweep"},
    ],
)
def test_another_setting_seed_or_content_is_another_trunk(store: Store, facts: dict[str, Any]) -> None:
    facts = dict(facts)
    experiment = facts.pop("experiment", tiny())
    record(store, 1, experiment.but(stages=trunk_of(BRANCH).stages), **facts)  # type: ignore[union-attr]
    assert shared_trunk.look(store, wanted()) is None


def test_what_is_unfinished_is_resumed_and_what_is_at_work_is_waited_for(store: Store) -> None:
    root = trunk_of(BRANCH)
    assert root is not None
    broken = record(store, 1, root, epochs=2, status=None, kept=2)
    found = shared_trunk.look(store, wanted())
    assert found is not None
    assert (found.run, found.running, found.state) == (broken, False, None)
    record(store, 2, tiny(), epochs=2, status=None, kept=2)  # a longer one that keeps nothing: no trunk
    keeps = tiny(safety=tiny().safety.but(keep=(4,)))
    longer = record(store, 3, keeps, epochs=2, status=None, kept=2)
    with JournalWriter(store.journal(longer)):  # somebody writes it
        found = shared_trunk.look(store, wanted())
        assert found is not None
        assert (found.run, found.running) == (longer, True)
    found = shared_trunk.look(store, wanted())
    assert found is not None
    assert (found.run, found.running) == (broken, False)


def test_other_code_packages_and_devices_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    root = trunk_of(BRANCH)
    assert root is not None
    here = provenance.Provenance("h", 1, {"numpy": "1.26.4"}, {"commit": "b" * 40}, {})
    monkeypatch.setattr(provenance, "collect", lambda *_: here)
    record(store, 1, root, provenance={"commit": "a" * 40}, versions={"numpy": "1.26.0"})
    found = shared_trunk.look(store, wanted())
    assert found is not None
    assert shared_trunk.code_differences(store, found, root) == [
        "was trained by the code version aaaaaaaaaa; this is bbbbbbbbbb",
        "was trained by numpy 1.26.0; this is 1.26.4",
    ]
    record(store, 2, root, provenance={"commit": "b" * 40, "engine": "old"}, versions={"numpy": "1.26.4"})
    here.facts["engine"] = "new"
    other = shared_trunk.look(store, wanted())
    assert other is not None
    assert shared_trunk.code_differences(store, other, root) == [
        "was trained by other files of the workbench itself"
    ]
    here.facts.update({"commit": "a" * 40, "diff": "0123"})
    assert shared_trunk.code_differences(store, found, root)[0] == (
        "was trained with other uncommitted changes to the code version aaaaaaaaaa"
    )
    assert shared_trunk.code_differences(store, found, root.but(**{"devices.deterministic": False}))[-1] == (
        "was trained on other devices, whose last bits may differ"
    )


def test_the_history_of_a_branch_of_a_branch_begins_at_epoch_one(store: Store) -> None:
    first = record(store, 1, tiny(), epochs=5)
    second = record(store, 2, tiny(), epochs=6, from_epoch=5, trunk={"run": first, "epoch": 4})
    third = record(store, 3, tiny(), epochs=8, from_epoch=6, trunk={"run": second, "epoch": 5})
    rows = branch_history.all_rows(read_journal(store.journal(third)))
    assert [row.epoch for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rows[:4] == read_journal(store.journal(first)).accepted()[:4]
    assert rows[4] == read_journal(store.journal(second)).accepted()[0]
    store.journal(first).unlink()
    assert [row.epoch for row in branch_history.all_rows(read_journal(store.journal(third)))] == [5, 6, 7, 8]


def test_the_first_row_alone_tells_what_a_run_is(store: Store) -> None:
    run = record(store, 1, tiny())
    start = first_start(store.journal(run))
    assert start is not None
    assert start.id == tiny().id
    store.journal(run).write_bytes(b"garbage\n")
    assert first_start(store.journal(run)) is None
