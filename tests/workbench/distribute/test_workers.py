"""Two worker processes on loopback: the losses of one device, one record, and one stop for both."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet import Fleet, ended, largest_difference, wait_for_steps

from workbench.tracking.journal import read_journal
from workbench.tracking.store import find_store
from workbench.train import checkpoint_file

pytestmark = pytest.mark.tensorflow
# Sums in another order are 1e-7 apart at the first step, and ten steps made 1.03e-5 of it; a mistake is above 1e-3.
ROUNDING = 5e-5


def runs(folder: Path) -> list[str]:
    return find_store(str(folder / "mlruns")).runs()


def test_two_workers_and_two_logical_devices_train_as_one_device(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    singles = [fleet.start("run", "experiments/fleet.py", name, losses=name) for name in ("base", "two")]
    assert [status for status, _ in ended(*singles)] == [0, 0]
    results = ended(*fleet.workers("run", "experiments/fleet.py", "net"))
    assert [status for status, _ in results] == [0, 0], results
    own = ended(fleet.start("run", "experiments/fleet.py", "own", losses="own"))
    assert own[0][0] == 0
    one = fleet.losses("base")
    for name in ("two", "worker0", "worker1"):
        assert largest_difference(one, fleet.losses(name)) < ROUNDING, name
    assert largest_difference(one, fleet.losses("own")) > 1e-3  # the statistics of half a batch are others
    store = find_store(str(tmp_path / "mlruns"))
    by_name = {read_journal(store.journal(run)).start.name: run for run in store.runs()}
    rows = {name: read_journal(store.journal(run)).accepted() for name, run in by_name.items()}
    assert set(rows) == {"base", "two", "net", "own"}  # the second worker recorded nothing of its own
    for name in ("two", "net"):
        assert [row.step for row in rows[name]] == [row.step for row in rows["base"]]
        for mine, base in zip(rows[name], rows["base"]):
            assert mine.metrics["lr"] == base.metrics["lr"]  # nobody multiplies it by the number of devices
            assert mine.metrics["loss"] == pytest.approx(base.metrics["loss"], rel=ROUNDING)
            assert mine.metrics["unseen"] == pytest.approx(base.metrics["unseen"], abs=2 / 24)
    logs = [(store.run_folder(by_name["net"]) / "workers" / f"{k}.log").read_text() for k in (0, 1)]
    start = read_journal(store.journal(by_name["net"])).start
    assert start is not None
    for log, member in zip(logs, start.provenance["workers"]):
        assert f"process {member['process']} on" in log


def test_a_sigterm_to_any_worker_stops_all_at_one_step_with_a_checkpoint(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, epochs=40)
    chief, other = fleet.workers("run", "experiments/fleet.py", "long")
    wait_for_steps(fleet, "worker1", 8)
    other.terminate()
    results = ended(chief, other)
    assert [status for status, _ in results] == [75, 75], results
    (run,) = runs(tmp_path)
    state = checkpoint_file.newest(tmp_path / "mlruns" / "checkpoints" / run)
    assert state is not None
    steps = [len(fleet.losses(f"worker{k}")) for k in (0, 1)]
    assert steps == [state.facts["step"]] * 2
