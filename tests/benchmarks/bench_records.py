"""Reading records of other programs: rows a second beside pandas' own reader of the same bytes, and MB a second."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from paired import Row, compare_measured, main, spread

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ROWS, COLUMNS = 100_000, 10
LOG_BYTES = 50_000_000
NAMES = ["loss", "accuracy", "lr", *(f"val_metric_{number}" for number in range(COLUMNS - 3))]


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of some work: a reader is one thread, and other work must not pass for slowness."""
    start = time.process_time()
    work()
    return time.process_time() - start


def frame() -> pd.DataFrame:
    """Return a table of epochs from 0 on with full floats, as histories hold them."""
    random = np.random.default_rng(0)
    return pd.DataFrame({"epoch": np.arange(ROWS), **{name: random.random(ROWS) for name in NAMES}})


def tables(folder: Path) -> list[Row]:
    """CSV and JSON of 100,000 epochs through our readers, against pandas' default readers of the same bytes."""
    from analysis.sources import csv_log, history_json

    table = frame()
    history = {name: table[name].tolist() for name in NAMES}
    texts = {
        "a.csv": table.to_csv(index=False),
        "sparse.csv": table.mask(np.random.default_rng(1).random(table.shape) < 0.5)
        .assign(epoch=table["epoch"])
        .to_csv(index=False),
        "a_hist.json": json.dumps(history),
        "columns.json": table.drop(columns="epoch").to_json(),
        "records.json": table.to_json(orient="records"),
        "lines.jsonl": table.to_json(orient="records", lines=True),
    }
    rows = []
    for name, text in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        reader = csv_log.read if name.endswith(".csv") else history_json.read
        theirs = _pandas(name, text)
        ratio = compare_measured(
            lambda theirs=theirs: processor_seconds(theirs),
            lambda reader=reader, path=path: processor_seconds(lambda: reader(path)),
            repeats=5,
        )
        rows.append(Row(f"{name}: rows a second / pandas' of the same bytes", ratio, at_least=1 / 3))
    return rows


def _pandas(name: str, text: str) -> Callable[[], object]:
    if name.endswith(".csv"):
        return lambda: pd.read_csv(io.StringIO(text))
    return lambda: pd.read_json(io.StringIO(text), lines=name.endswith(".jsonl"))


def console(folder: Path) -> list[Row]:
    """Console output of Keras: bars that are printed over, bars on lines of their own, and lines of values."""
    from analysis.sources import keras_output

    rows = []
    for name, epoch in (("carriage returns", _returns), ("states on lines", _states), ("verbose=2", _values)):
        path = folder / "console.log"
        with path.open("w", encoding="utf-8") as file:
            number = 1
            while file.tell() < LOG_BYTES:
                file.write(epoch(number))
                number += 1
        megabytes = path.stat().st_size / 1e6
        times = [processor_seconds(lambda path=path: keras_output.read(path)) for _ in range(3)]
        speed = spread([megabytes / seconds for seconds in times])
        rows.append(Row(f"console of Keras, {name}", speed, at_least=30, unit="MB/s"))
    return rows


def _returns(number: int) -> str:
    bars = "".join(
        f"\r{step:>4}/2000 [=====>......] - ETA: 4s - loss: 0.7294 - accuracy: 0.{step:04d}" + "\b" * 80
        for step in range(1, 2000, 2)
    )
    return f"Epoch {number}/99999\n{bars}\r2000/2000 [============] - 9s 5ms/step - loss: 0.7 - val_loss: 0.6000\n"


def _states(number: int) -> str:
    bars = "".join(
        f"{step:>4}/2000 [=====>......................] - ETA: 4s - loss: 0.7294 - accuracy: 0.{step:04d}\n"
        for step in range(1, 2000, 2)
    )
    return (
        f"Epoch {number}/99999\n{bars}2000/2000 [============] - 9s 5ms/step - loss: 0.7 - val_loss: 0.6000\n"
    )


def _values(number: int) -> str:
    values = " - ".join(f"output_of_some_head_{head}_loss: 0.{number % 10000:04d}" for head in range(12))
    return f"Epoch {number}/999999\n2000/2000 - 9s - {values} - 9s/epoch - 5ms/step\n"


def rows() -> list[Row]:
    """Measure everything, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        return [*tables(Path(name)), *console(Path(name))]


if __name__ == "__main__":
    main(rows)
