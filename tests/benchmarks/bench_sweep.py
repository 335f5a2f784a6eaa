"""What a sweep costs over the same runs alone, and what a second worker brings."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import Ratio, Row, compare, main

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

PAIRS = 6
SPEC = '''"""How long?"""
from workbench import *
experiment = Experiment(
    data=SyntheticFaces(identities=16, images={images}, image_size=32), backbone=MobileFaceNet(image_size=32, width=0.25),
    embedding=GDC(size=32), stages=Stage(loss=Softmax(), epochs={epochs}),
    optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=32,
    log_model="none",  # a trial logs none either
)
space = {{"label_smoothing": Float(0, 0.1, {step})}}
sweep = Sweep(base=experiment, space=space, tuner=GridSearch(), objective="accuracy", name="bench")
'''


def quiet(*words: str) -> float:
    """Run the program in this process, silently; return the seconds it took."""
    from workbench.cli import main as program

    with contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        status = program(list(words))
        seconds = time.perf_counter() - began
    assert status == 0, words
    return seconds


def overhead(folder: Path) -> tuple[Ratio, float]:
    """Return (a trial / the same run by `workbench run` in this process) and the seconds beyond 3 percent."""
    (folder / "spec.py").write_text(SPEC.format(images=24, epochs=6, step=0.1 / (PAIRS - 1)))
    values = [0.1 * number / (PAIRS - 1) for number in range(PAIRS)]
    quiet("run", "spec.py", "--seed", "7")  # imports, caches
    quiet("sweep", "spec.py", "--trials", "1")
    ratios, beyond = [], []
    for number in range(1, PAIRS):
        alone = quiet("run", "spec.py", "--set", f"label_smoothing={values[number]}")
        trial = quiet("sweep", "spec.py", "--resume", "--trials", str(number + 1))
        fixed = quiet("sweep", "spec.py", "--resume", "--trials", str(number + 1))  # a start without a trial
        ratios.append((trial - fixed) / alone)
        beyond.append(trial - fixed - 1.03 * alone)
    ratios.sort()
    beyond.sort()
    return Ratio(ratios[len(ratios) // 2], ratios[0], ratios[-1]), beyond[len(beyond) // 2]


def trials_per_hour(folder: Path, workers: int, trials: int) -> float:
    """Return the trials an hour of so many workers, each bound to one core; starting them is left out."""
    place = folder / f"workers-{workers}"
    place.mkdir()
    (place / "spec.py").write_text(SPEC.format(images=64, epochs=10, step=0.1 / (trials - 1)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    words = [sys.executable, "-m", "workbench", "sweep", "spec.py", "--workers", str(workers)]
    words += ["--store", str(place / "mlruns")]  # else that of the folder above, which is there already
    cores = sorted(os.sched_getaffinity(0))[:workers]
    subprocess.run(
        words,
        cwd=place,
        env=environment,
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    from workbench.tracking import sweeps
    from workbench.tracking.journal import read_journal
    from workbench.tracking.store import find_store

    store = find_store(str(place / "mlruns"))
    rows = read_journal(store.journal(sweeps.require(store, "bench").run)).accepted()
    first = rows[workers - 1].time  # each worker's first trial holds its start-up and tracing
    return 3600 * (len(rows) - workers) / (rows[-1].time - first)


def reading(folder: Path) -> Ratio:
    """Return a sweep of 1,000 trials into frames / a bare SELECT of its values."""
    from bench_analysis import bare_select, database

    from analysis.sources import load
    from workbench.files import write_json
    from workbench.tracking import sweeps
    from workbench.tracking.store import find_store

    path = database(folder, runs=1000, epochs=100)
    store, run = find_store(str(folder)), "20260101T000000Z-00000000"
    names = [f"{number:032x}" for number in range(1000)]
    store.journals.mkdir()
    for name in names:
        store.journal(name).touch()
    facts = {"name": "thousand", "study": "bench", "objective": "agedb_30", "lower": False, "space": {}}
    write_json(sweeps.folder(store, run) / sweeps.FACTS, facts)
    rows = [
        {
            "id": f"{n:04d}",
            "status": "COMPLETED",
            "score": 0.5,
            "values": {sweeps.REQUEST: sweeps.TrialRequest({"a": n}, (name,), 100, f"{n:04d}").text()},
        }
        for n, name in enumerate(names)
    ]
    write_json(sweeps.folder(store, run) / sweeps.STATE, {"trials": rows})
    assert len(load(["thousand"], str(folder)).runs) == 1000
    return compare(lambda: load(["thousand"], str(folder)), lambda: bare_select(path), repeats=5)


def rows() -> list[Row]:
    """Measure in a project of its own."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mlruns").mkdir()
        (folder / "thousand").mkdir()
        thousand = reading(folder / "thousand")
        os.chdir(folder)
        try:
            ratio, beyond = overhead(folder)
            one, two = trials_per_hour(folder, 1, 6), trials_per_hour(folder, 2, 10)
        finally:
            os.chdir(here)
    note = "in one process; a trial trains 6 epochs of a small network"
    return [
        Row("a sweep of 1,000 trials into frames / bare SELECT", thousand, at_most=2.0),
        Row("a trial / the same run alone", ratio, note=note),
        Row("a trial beyond 3 percent of the run alone", beyond, at_most=0.2, unit=" s", note=note),
        Row(
            "trials an hour, 2 workers on 2 cores / 1 on 1", two / one, at_least=1.7, note="start-up left out"
        ),
    ]


if __name__ == "__main__":
    main(rows)
