"""Eight processes start at once on an empty `mlruns/`: one schema, no lost row, no complaint."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from stores import Board, query

from workbench.tracking.store import find_store, read_runs

WRITER = """
import sys, time
from workbench.tracking.rows import CheckpointRecord; from workbench.tracking.rows import EpochRecord; from workbench.tracking.rows import StartRecord; from workbench.tracking.rows import new_run_name
from workbench.tracking.store import find_store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views

number, epochs = int(sys.argv[2]), int(sys.argv[3])
start = StartRecord(run=new_run_name(), study="many", name=f"p{number}", parameters={"number": number, f"own{number}": 1})
with Tracker.open(find_store(sys.argv[1]), start, views=default_views(find_store(sys.argv[1]))) as tracker:
    for epoch in range(1, epochs + 1):
        metrics = {f"m{k}": number + epoch / 1000 for k in range(20)}
        tracker.epoch(EpochRecord(stage=1, stage_epoch=epoch, epoch=epoch, step=epoch, metrics=metrics, seconds=1.0))
        tracker.checkpoint(CheckpointRecord(epoch=epoch, file="x", digest="d"))
    tracker.end("finished")
    if not tracker.close(timeout=240):
        sys.exit(3)
"""
PROCESSES, EPOCHS = 8, 25


@pytest.mark.timeout(600)
def test_eight_processes_on_an_empty_store(tmp_path, root):
    store = find_store(str(tmp_path / "mlruns"))
    words = [sys.executable, "-c", WRITER, str(store.root)]
    running = [
        subprocess.Popen(
            [*words, str(number), str(EPOCHS)],
            cwd=root,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    said = [process.communicate(timeout=1200)[0] for process in running]
    assert said == [""] * PROCESSES
    assert [process.returncode for process in running] == [0] * PROCESSES
    runs = read_runs(store)
    assert [row.status for row in runs] == ["finished"] * PROCESSES
    assert query(store, "SELECT count(*) FROM experiments WHERE name = 'many'") == [(1,)]
    for row in runs:
        number = int(row.parameters["number"])
        found = query(
            store,
            "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = 'm7' ORDER BY step",
            row.mlflow_id,
        )
        assert found == [(epoch, number + epoch / 1000) for epoch in range(1, EPOCHS + 1)]
    assert query(store, "SELECT count(*) FROM metrics") == [(PROCESSES * EPOCHS * 21,)]
    board = Board(store.tensorboard)
    assert len(board.sessions()) == PROCESSES
    assert {f"own{number}" for number in range(PROCESSES)} <= {
        info.name for info in board.experiment().hparam_infos
    }
    assert [path.name for path in store.root.glob("mlflow.*")] == ["mlflow.db"]
