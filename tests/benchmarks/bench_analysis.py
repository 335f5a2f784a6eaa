"""Reading records at scale: a database of 2,000,000 values, a table of 200 runs, logs of 100 MB."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
from paired import Row, compare, compare_measured, main, process, seconds, spread

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SETS = ("lfw", "cfp_fp", "agedb_30")
METRICS = ("loss", "accuracy", "lr", "stage", "seconds", *SETS, *(f"extra_{n}" for n in range(12)))
LOG_BYTES = 100_000_000
LINE = (
    "[2018-05-07 11:{:02d}:{:02d}]  INFO:root:Epoch[{}] Batch [{}]\tSpeed: {:.2f} samples/sec\tacc={:.6f}\n"
)


def database(folder: Path, runs: int, epochs: int) -> Path:
    """Make MLflow's own database and fill it with `runs` x 20 metrics x `epochs` values."""
    from mlflow import MlflowClient

    path = folder / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}")
    client.create_experiment("bench", artifact_location=str(folder / "artifacts"))
    names = [f"{number:032x}" for number in range(runs)]
    random = np.random.default_rng(0)
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO runs(run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id)"
            " VALUES(?, ?, 'FINISHED', ?, ?, 'active', 1)",
            [
                (name, f"run {n}", 1_700_000_000_000 + n, 1_700_000_900_000 + n)
                for n, name in enumerate(names)
            ],
        )
        connection.executemany(
            "INSERT INTO params(key, value, run_uuid) VALUES(?, ?, ?)",
            [(f"setting_{k}", str(n % (k + 1)), name) for n, name in enumerate(names) for k in range(20)],
        )
        tags = [("workbench.run", name) for name in names]
        connection.executemany(
            "INSERT INTO tags(key, value, run_uuid) VALUES(?, ?, ?)", [(k, v, v) for k, v in tags]
        )
        for name in names:
            values = random.random((epochs, len(METRICS)))
            values[:, METRICS.index("stage")] = np.arange(epochs) // (epochs // 4) + 1
            connection.executemany(
                "INSERT INTO metrics(key, value, timestamp, run_uuid, step, is_nan) VALUES(?, ?, ?, ?, ?, 0)",
                [
                    (metric, values[epoch, m], 1_700_000_000_000 + epoch, name, epoch + 1)
                    for epoch in range(epochs)
                    for m, metric in enumerate(METRICS)
                ],
            )
    return path


def bare_select(path: Path) -> list[np.ndarray]:
    """The yardstick: the same rows into NumPy arrays, nothing else."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT run_uuid, key, value, step, is_nan FROM metrics").fetchall()
    return [np.array(column) for column in zip(*rows, strict=True)]


def reading(folder: Path) -> list[Row]:
    """1,000 runs into the frames, against a bare SELECT and against MLflow's client; memory."""
    from analysis.sources.mlflow_sql import read_database

    path = database(folder, runs=1000, epochs=100)
    ratio = compare(lambda: read_database(path), lambda: bare_select(path), repeats=5)
    tracemalloc.start()
    records = read_database(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    own = int(records.epochs.memory_usage(deep=True).sum())
    return [
        Row("1,000 runs x 20 metrics x 100 epochs into frames / bare SELECT", ratio, at_most=2.0),
        Row("MlflowClient.get_metric_history / the same into frames", _against_client(path), at_least=15),
        Row(
            "peak memory of reading / the frame's own",
            peak / own,
            at_most=5.0,
            note=f"frame {own / 1e6:.0f} MB",
        ),
    ]


def _against_client(path: Path):
    from mlflow import MlflowClient

    from analysis.sources.mlflow_sql import read_database

    client = MlflowClient(f"sqlite:///{path}")
    sample = [(f"{number:032x}", metric) for number in range(0, 1000, 100) for metric in METRICS]

    def calls() -> float:
        share = seconds(lambda: [client.get_metric_history(run, metric) for run, metric in sample])
        return share * 1000 * len(METRICS) / len(sample)

    return compare_measured(calls, lambda: seconds(lambda: read_database(path)), repeats=3)


def table(folder: Path) -> list[Row]:
    """`workbench table` of 200 runs as a whole process, against importing pandas plus the query."""
    folder = folder / "small"
    folder.mkdir()
    path = database(folder, runs=200, epochs=50)
    query = (
        f"import pandas, sqlite3; c = sqlite3.connect({str(path)!r}); "
        "[c.execute('SELECT * FROM ' + t).fetchall() for t in ('runs', 'params', 'tags', 'metrics')]"
    )
    ours = process(
        "python",
        "-m",
        "workbench",
        "table",
        "--store",
        str(folder),
        "--select",
        "agedb_30",
        PYTHONPATH=str(ROOT),
    )
    ratio = compare(ours, process("python", "-c", query), repeats=5)
    return [Row("workbench table, 200 runs / import pandas plus the query", ratio, at_most=2.0)]


def logs(folder: Path) -> list[Row]:
    """A log of 100 MB through each of the two big parsers: speed and memory in a fresh process.

    The speed is by processor time: a parser is one thread, so on an idle machine that is the wall clock,
    and here other work must not pass for slowness.
    """
    rows = []
    for module, lines in (("mxnet_log", _mxnet_lines), ("arcface_torch_log", _arcface_lines)):
        path = folder / f"{module}.log"
        with path.open("w", encoding="ascii") as file:
            while file.tell() < LOG_BYTES:
                file.write(lines(file.tell()))
        code = (
            "import sys, time, resource; from pathlib import Path; "
            f"from analysis.sources import {module} as source; "
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
            "before, start = peak(), time.process_time(); runs, notes = source.read(Path(sys.argv[1])); "
            "print(time.process_time() - start, peak() - before, len(notes))"
        )
        command = [sys.executable, "-c", code, str(path)]
        done = [
            subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT) for _ in range(3)
        ]
        times, memory, remarks = zip(*(map(float, one.stdout.split()) for one in done), strict=True)
        megabytes = path.stat().st_size / 1e6
        speed = spread([megabytes / seconds for seconds in times])
        note = f"{int(remarks[0])} remarks, processor time"
        rows.append(Row(f"{module}: 100 MB parsed", speed, at_least=30, unit="MB/s", note=note))
        rows.append(Row(f"{module}: memory grown by", max(memory) / 1024, at_most=50, unit="MB"))
        path.unlink()
    return rows


def _mxnet_lines(position: int) -> str:
    """Return one epoch, a little more than a megabyte; `position` in the file gives its number."""
    epoch = position // 1_000_000
    return "".join(
        LINE.format(batch // 60 % 60, batch % 60, epoch, batch, 500 + batch % 31, (batch % 97) / 97)
        for batch in range(0, 11_600 * 20, 20)
    )


def _arcface_lines(position: int) -> str:
    """Return 1,400 lines, 200 kB; their steps follow from `position` in the file and only ever rise."""
    line = (
        "Training: 2021-03-14 21:40:39,151-Speed {:.2f} samples/sec   Loss {:.4f}   Epoch: {}   "
        "Global Step: {}   Fp16 Grad Scale: 256   Required: 9 hours\n"
    )
    steps = range(position // 100, position // 100 + 1400)
    return "".join(line.format(4400 + s % 97, 50 - s % 40, s // 100_000, s) for s in steps)


def rows() -> list[Row]:
    """Measure everything, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*reading(folder), *table(folder), *logs(folder)]


if __name__ == "__main__":
    main(rows)
