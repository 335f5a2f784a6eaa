"""What recording costs: the training thread's wait, a journal's append, and a rebuild of everything.

python tests/benchmarks/bench_tracking.py            (some minutes)
RUNS=1000 python tests/benchmarks/bench_tracking.py  (the whole rebuild of the issue, half an hour)
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from paired import Ratio, Row, compare_measured, main, spread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from workbench.tracking.journal import JournalWriter, encode_line
from workbench.tracking.mlflow_client import open_client
from workbench.tracking.rows import CheckpointRecord, EndRecord, EpochRecord, StartRecord, new_run_name
from workbench.tracking.runs import read_states
from workbench.tracking.store import Store, find_store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
from workbench.views.rebuild import rebuild

METRICS, EPOCHS = 20, 100
RUNS = int(os.environ.get("RUNS", "40"))
CLIENT_RUNS = 3  # a sample: the client takes as long for each run
RAM = Path("/dev/shm")  # there fsync costs nothing, so that what is measured is what is beyond it


def epoch(number: int) -> EpochRecord:
    metrics = {f"metric_{place:02}": number / (place + 3) for place in range(METRICS)}
    return EpochRecord(stage=1, stage_epoch=number, epoch=number, step=number, metrics=metrics, seconds=1.0)


def start() -> StartRecord:
    parameters = {f"setting.{place}": place / 7 for place in range(30)}
    return StartRecord(run=new_run_name(), study="bench", name="bench", id="0123", parameters=parameters)


class Bare:
    """The least that makes a line durable: one write and one fsync of a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append(self, record: EpochRecord) -> float:
        line = encode_line(record)
        began = time.perf_counter()
        os.write(self.descriptor, line)
        os.fsync(self.descriptor)
        return time.perf_counter() - began


def timed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def excess(ours: list[float], bare: list[float]) -> Ratio:
    """Return the median of ours minus the median of the bare write, with its quartiles, in ms."""
    base = statistics.median(bare)
    low, middle, high = statistics.quantiles([1000 * (value - base) for value in ours], n=4)
    return Ratio(middle, low, high)


def append_cost(folder: Path, place: str, at_most: float | None) -> Row:
    bare, ours = Bare(folder), []
    base = []
    with JournalWriter(folder / "r.jsonl") as writer:
        for number in range(1, 401):
            record = epoch(number)
            base.append(bare.append(record))
            ours.append(timed(lambda record=record: writer.append(record)))
    return Row(
        f"journal append beyond its fsync, {place}",
        excess(ours[20:], base[20:]),
        at_most=at_most,
        unit="ms",
        note="20 metrics; quartiles",
    )


def training_wait(folder: Path, place: str, at_most: float | None) -> list[Row]:
    """Epochs of 0.15 s of matrix products, while journal, TensorBoard and MLflow receive each."""
    store = find_store(str(folder / "mlruns"))
    bare, ours, base = Bare(folder), [], []
    matrix = np.ones((300, 300), np.float32)
    with Tracker.open(store, start(), views=default_views(store)) as tracker:
        for number in range(1, 151):
            until = time.perf_counter() + 0.15
            while time.perf_counter() < until:
                matrix @ matrix
            record = epoch(number)
            base.append(bare.append(record))
            ours.append(timed(lambda record=record: tracker.epoch(record)))
            tracker.checkpoint(CheckpointRecord(epoch=number, file="x", digest="d"))
        tracker.end("finished")
    late, late_base = ours[-75:], base[-75:]
    worst = 1000 * (max(late) - statistics.median(late_base))
    return [
        Row(
            f"training waits for an epoch's record, beyond fsync, {place}",
            excess(late, late_base),
            at_most=at_most,
            unit="ms",
            note="20 metrics to journal, MLflow and HParams; quartiles",
        ),
        Row(
            f"the same in the first 11 s, while MLflow is imported, {place}",
            excess(ours[:75], base[:75]),
            unit="ms",
            note=f"the longest later wait was {worst:.2f} ms",
        ),
    ]


def fill(store: Store, runs: int) -> None:
    for _ in range(runs):
        first = start()
        lines = [first, *(epoch(number) for number in range(1, EPOCHS + 1)), EndRecord(status="finished")]
        store.journals.mkdir(parents=True, exist_ok=True)
        store.journal(first.run).write_bytes(b"".join(map(encode_line, lines)))


def through_the_client(folder: Path) -> float:
    """Return seconds a run, logged one epoch at a time through MlflowClient (MLflow alone)."""
    from mlflow.entities import Metric, Param

    with tempfile.TemporaryDirectory(dir=folder) as place:
        client = open_client(find_store(place))
        study = client.create_experiment("bench", artifact_location=place)
        began = time.perf_counter()
        for _ in range(CLIENT_RUNS):
            first = start()
            run = client.create_run(study, tags={"workbench.run": first.run}, run_name=first.name).info.run_id
            client.log_batch(run, params=[Param(key, str(value)) for key, value in first.parameters.items()])
            for number in range(1, EPOCHS + 1):
                row = epoch(number)
                moment = round(row.time * 1000)
                client.log_batch(
                    run, [Metric(key, value, moment, number) for key, value in row.metrics.items()]
                )
            client.set_terminated(run)
        return (time.perf_counter() - began) / CLIENT_RUNS


def rebuilt(folder: Path) -> float:
    """Return seconds a run of a whole rebuild: new database, MLflow and TensorBoard."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store = find_store(place)
        fill(store, RUNS)
        began = time.perf_counter()
        done = rebuild(store, lambda line: None)
        assert (done.runs, done.failed) == (RUNS, {})
        return (time.perf_counter() - began) / RUNS


def states(folder: Path) -> Row:
    store = find_store(str(folder / "many"))
    fill(store, 100)
    spans = [1000 * timed(lambda: read_states(store)) for _ in range(5)]
    return Row("states and rows of 100 journals of 100 epochs", spread(spans), unit="ms")


def waits() -> list[Row]:
    found = []
    places = [("RAM disk", str(RAM))] if RAM.is_dir() else []
    for word, parent in [*places, ("disk", None)]:
        judged = word == "RAM disk" or not places  # a busy disk's own jitter is larger than the targets
        with tempfile.TemporaryDirectory(dir=parent) as name:
            found.append(append_cost(Path(name), word, 0.1 if judged else None))
            found += training_wait(Path(name), word, 1.0 if judged else None)
    return found


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [*waits(), states(folder)]
        open_client(find_store(str(folder / "warm")))
        repeats = 3 if RUNS <= 100 else 1
        ratio = compare_measured(lambda: through_the_client(folder), lambda: rebuilt(folder), repeats)
        note = f"{RUNS} runs x {EPOCHS} epochs x {METRICS} metrics, schema and TensorBoard included; client sampled"
        return [
            *found,
            Row("rebuild, times faster than the client an epoch at a time", ratio, at_least=4.0, note=note),
        ]


if __name__ == "__main__":
    main(rows)
