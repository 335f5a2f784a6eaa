"""Two processes of Horovod: the losses of one device, one record, a killed process and the resume.

Skipped where Horovod is not built; `make horovod` builds it (docs/devices.md).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fleet import Fleet, ended, largest_difference

from workbench.tracking.journal import read_journal
from workbench.tracking.store import find_store
from workbench.train import checkpoint_file

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None, reason="Horovod is not built: run `make horovod`"
    ),
]
LAUNCH = [sys.executable, "-m", "horovod.runner.launch", "-np", "2", "--gloo", sys.executable]


def test_two_processes_train_as_one_device(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    one = fleet.start("run", "experiments/fleet.py", "base", losses="base")
    pair = fleet.start("run", "experiments/fleet.py", "horovod", losses="pair", program=LAUNCH)
    results = ended(one, pair)
    assert [status for status, _ in results] == [0, 0], results
    assert largest_difference(fleet.losses("base"), fleet.losses("pair")) < 1e-5
    store = find_store(str(tmp_path / "mlruns"))
    starts = {read_journal(store.journal(run)).start.name: run for run in store.runs()}
    assert set(starts) == {"base", "horovod"}
    base, horovod = (read_journal(store.journal(starts[name])) for name in ("base", "horovod"))
    for mine, other in zip(horovod.accepted(), base.accepted()):
        assert mine.metrics["lr"] == other.metrics["lr"]
        assert mine.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-5)
        assert mine.metrics["unseen"] == pytest.approx(other.metrics["unseen"], abs=2 / 24)
    for k, member in enumerate(horovod.start.provenance["workers"]):
        log = (store.run_folder(starts["horovod"]) / "workers" / f"{k}.log").read_text()
        assert f"process {member['process']} on" in log


def test_a_killed_process_stops_all_and_the_run_is_resumed_to_equal_bits(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, epochs=12)
    words = ("run", "experiments/fleet.py", "longhorovod")
    [(status, text)] = ended(fleet.start(*words, losses="whole", program=LAUNCH))
    assert status == 0, text
    pair = fleet.start(*words, losses="pair", program=LAUNCH)
    store = find_store(str(tmp_path / "mlruns"))
    deadline = time.monotonic() + 1200
    while not (tmp_path / "pair.json").exists() or (tmp_path / "pair.json").read_text().count(",") < 20:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first, run = store.runs()
    log = (store.run_folder(run) / "workers" / "1.log").read_text()
    os.kill(int(re.findall(r"process (\d+) on", log)[0]), signal.SIGKILL)
    [(status, text)] = ended(pair)
    assert status != 0, text
    assert (
        read_journal(store.journal(run)).end is None
        or read_journal(store.journal(run)).end.status == "stopped"
    )
    [(status, text)] = ended(fleet.start(*words, "--resume", losses="again", program=LAUNCH))
    assert status == 0, text
    assert "resumed after epoch" in text
    assert store.runs() == [first, run]
    mine, theirs = (dict(checkpoint_file.newest(store.run_checkpoints(name)).arrays) for name in (first, run))
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not np.array_equal(mine[name], theirs[name])] == []


def test_a_profile_measures_the_sums_of_both_processes(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    words = ("profile", "experiments/fleet.py", "horovod", "--json", "--out", "both")
    [(status, text)] = ended(fleet.start(*words, program=LAUNCH))
    assert status == 0, text
    (line,) = [line for line in text.splitlines() if "{" in line]  # the chief's alone
    found = json.loads(line[line.index("{") :])
    assert (found["devices"], found["batch"]) == (2, 8)
    assert found["parts"]["norms"]["note"].startswith("5 normalisations")
    note = f"{4 * found['trained'] / 1e6:,.2f} MB of gradients over 2 devices"
    assert found["parts"]["reduce"]["note"] == note
    # Horovod looks for work once a millisecond: a sum takes a good part of that, ten in a row take several
    assert found["parts"]["reduce"]["wall"] > 2e-4
    assert found["together"] > found["parts"]["norms"]["wall"] > 2e-3
