"""Reading 2,000,000 values from PostgreSQL into the frames, against a bare SELECT; nothing where it is not installed."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
from paired import Row, compare, main

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "acceptance")]

RUNS, EPOCHS = 1000, 100
METRICS = (
    "loss",
    "accuracy",
    "lr",
    "stage",
    "seconds",
    "lfw",
    "cfp_fp",
    "agedb_30",
    *(f"extra_{n}" for n in range(12)),
)
SELECT = "SELECT run_uuid, key, value, step, is_nan FROM metrics"


def fill(uri: str) -> None:
    """Make MLflow's own schema and copy 1,000 runs x 20 metrics x 100 epochs into it."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from workbench.tracking import postgres

    SqlAlchemyStore(postgres.with_driver(uri), "file:///nowhere").create_experiment("bench")
    names = [f"{number:032x}" for number in range(RUNS)]
    random = np.random.default_rng(0)
    with postgres.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT experiment_id FROM experiments WHERE name = 'bench'")
        (study,) = cursor.fetchone()
        lines = [
            f"{n}\trun\tFINISHED\t{1_700_000_000_000 + k}\tactive\t{study}\n" for k, n in enumerate(names)
        ]
        columns = ("run_uuid", "name", "status", "start_time", "lifecycle_stage", "experiment_id")
        cursor.copy_from(io.StringIO("".join(lines)), "runs", columns=columns)
        tags = "".join(f"workbench.run\t{name}\t{name}\n" for name in names)
        cursor.copy_from(io.StringIO(tags), "tags", columns=("key", "value", "run_uuid"))
        for name in names:
            values = random.random((EPOCHS, len(METRICS)))
            values[:, METRICS.index("stage")] = np.arange(EPOCHS) // (EPOCHS // 4) + 1
            rows = (
                f"{metric}\t{float(values[epoch, m])!r}\t{1_700_000_000_000 + epoch}\t{name}\t{epoch + 1}\tf\n"
                for epoch in range(EPOCHS)
                for m, metric in enumerate(METRICS)
            )
            columns = ("key", "value", "timestamp", "run_uuid", "step", "is_nan")
            cursor.copy_from(io.StringIO("".join(rows)), "metrics", columns=columns)


def bare_select(uri: str) -> list[np.ndarray]:
    """The yardstick: the same rows into NumPy arrays, nothing else."""
    from workbench.tracking import postgres

    with postgres.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(SELECT)
        rows = cursor.fetchall()
    return [np.array(column) for column in zip(*rows, strict=True)]


def rows() -> list[Row]:
    """Start a server of our own, fill it, read it both ways."""
    try:
        import psycopg2  # noqa: F401
        from database import PASSWORD, postgres, programs
    except ImportError:
        return []
    if programs() is None:
        return []
    from analysis.sources.mlflow_sql import read_server_database

    os.environ["PGPASSWORD"] = PASSWORD
    with postgres() as server:
        fill(server.uri)
        ratio = compare(lambda: read_server_database(server.uri), lambda: bare_select(server.uri), repeats=5)
        tracemalloc.start()
        records = read_server_database(server.uri)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(records.epochs) == RUNS * EPOCHS * len(METRICS)
    own = int(records.epochs.memory_usage(deep=True).sum())
    return [
        Row("2,000,000 values of PostgreSQL into frames / bare SELECT", ratio, at_most=2.0),
        Row(
            "peak memory of reading PostgreSQL / the frame's own",
            peak / own,
            at_most=5.0,
            note=f"frame {own / 1e6:.0f} MB",
        ),
    ]


if __name__ == "__main__":
    main(rows)
