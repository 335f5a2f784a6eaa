"""What `--jobs` adds to a run: its start and planning, the latency of the queue, and the time it takes to watch.

The queue does nothing for a run that grows with the run's length but look at its journal once a second. So short
runs suffice: what a run of 300 s would pay is the sum of what is paid once and 300 times what a second costs. The
runs here are processes without TensorFlow, because its start is paid by every run, with or without a queue.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import Ratio, Row, main, spread

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "workbench")]

RUN_SECONDS = 300.0
WATCHED_SECONDS = 10.0
SHORT = [sys.executable, "-S", "-c", "import time; time.sleep(0.5)"]
# Writes the last row of a journal again, once a second: what a run with epochs of one second does to its watcher.
WRITES = """
import sys, time
line = open(sys.argv[1], "rb").read().rstrip().rsplit(b"\\n", 1)[1] + b"\\n"
for _ in range(int(float(sys.argv[2]))):
    open(sys.argv[1], "ab").write(line)
    time.sleep(1)
"""
SPEC = '''"""Is it so?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
experiments = [tiny(), tiny(label_smoothing=0.1)]
'''


def planning(folder: Path) -> float:
    """Seconds of the parent's own start: the program, the spec file, the store's runs, the order."""
    words = [
        sys.executable,
        "-m",
        "workbench",
        "run",
        "experiments/study.py",
        "--jobs",
        "2",
        "--devices",
        "0,0",
        "--resume",
    ]
    began = time.perf_counter()
    subprocess.run(
        words, cwd=folder, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return time.perf_counter() - began


def latency(folder: Path, runs: int = 6) -> float:
    """Seconds that a place stays unused between two runs, and at both ends: the queue against plain processes."""
    from workbench.jobs.estimate import Costs
    from workbench.jobs.placement import Place
    from workbench.jobs.process import Child
    from workbench.jobs.progress import PlainProgress
    from workbench.jobs.scheduler import run_all

    tasks, store = made(folder, runs)
    reporter = PlainProgress(store, io.StringIO(), runs, Costs([]))
    began = time.perf_counter()
    run_all(tasks, [Place()], lambda task, place: Child(SHORT, place, folder / "log"), reporter)
    queue = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(runs):
        subprocess.run(SHORT, check=True)
    return (queue - (time.perf_counter() - began)) / runs


def watching(folder: Path) -> float:
    """Processor seconds of the parent for a second of watching two runs that each write an epoch a second."""
    from workbench.jobs.estimate import Costs
    from workbench.jobs.placement import Place
    from workbench.jobs.process import Child
    from workbench.jobs.progress import PlainProgress
    from workbench.jobs.scheduler import run_all

    tasks, store = made(folder, 2)
    words = [sys.executable, "-S", "-c", WRITES]
    reporter = PlainProgress(store, io.StringIO(), 2, Costs([]))
    before = time.process_time()

    def start(task, place):
        return Child([*words, str(store.journal(task.run)), str(WATCHED_SECONDS)], place, folder / "log")

    run_all(tasks, [Place(), Place()], start, reporter)
    return (time.process_time() - before) / WATCHED_SECONDS


def made(folder: Path, count: int):
    """Return tasks whose journals hold 300 epochs of 20 metrics each, finished, and their store."""
    from workbench.jobs.task import Task
    from workbench.spec.load import load_variants
    from workbench.tracking.journal import JournalWriter
    from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord
    from workbench.tracking.store import find_store

    store = find_store(str(folder / "mlruns"))
    variants = load_variants(folder / "experiments" / "study.py")
    tasks = []
    for number in range(count):
        variant, run = variants[number % 2], f"20260101T000000Z-{number:08x}"
        tasks.append(Task(variant, run, False))
        if store.journal(run).exists():
            continue
        with JournalWriter(store.journal(run)) as journal:
            spec = variant.experiment
            journal.append(
                StartRecord(run=run, id=spec.id, study=variant.study, name=variant.name, spec=spec.to_json())
            )
            for epoch in range(1, 301):
                metrics = {f"m{k}": k / 7 for k in range(20)}
                journal.append(
                    EpochRecord(
                        stage=1, stage_epoch=epoch, epoch=epoch, step=epoch, metrics=metrics, seconds=1.0
                    )
                )
            journal.append(EndRecord(status="finished"))
    return tasks, store


def rows() -> list[Row]:
    """Measure the three parts and add them up for a run of five minutes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "experiments").mkdir()
        (folder / "mlruns").mkdir()
        (folder / "experiments" / "study.py").write_text(SPEC.format(tests=str(ROOT / "tests" / "workbench")))
        made(folder, 2)
        starts = spread([planning(folder) for _ in range(5)])
        between = spread([latency(folder) for _ in range(5)])
        watched = spread([watching(folder) for _ in range(3)])
    parts = list(zip(starts, between, watched))
    whole = Ratio(*(100 * (start + gap + RUN_SECONDS * second) / RUN_SECONDS for start, gap, second in parts))
    result = (
        f"{starts[0]:.2f} s once + {between[0]:.2f} s a run + {1000 * watched[0]:.1f} ms a second x 300 s"
    )
    return [
        Row(
            "what --jobs adds to a run of 300 s, beyond TensorFlow's start",
            whole,
            at_most=2.0,
            unit="%",
            note=result,
        )
    ]


if __name__ == "__main__":
    main(rows)
