"""Checkpoints of a model of 10 million parameters: writing against raw bytes, waiting against a copy."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from paired import Row, compare, compare_measured, main, seconds

PARAMETERS = 10_000_000


def rows() -> list[Row]:
    """Measure writing (digest, safetensors, fsync, rename) and what training waits for (the copy)."""
    import tensorflow as tf

    from workbench.train import checkpoint_file
    from workbench.train.checkpoint import State

    sizes = np.full(100, PARAMETERS // 100)
    variables = [tf.Variable(tf.random.normal([size])) for size in sizes]
    arrays = {f"embedder/{i:05d}": variable.numpy() for i, variable in enumerate(variables)}
    raw = np.concatenate(list(arrays.values())).tobytes()
    state = State(arrays, {"epoch": 1})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write = compare(
            lambda: checkpoint_file.write(place / "a.safetensors", state),
            lambda: _raw(place / "raw", raw),
            repeats=9,
        )
        copy = compare(
            lambda: _captured(variables), lambda: [array.copy() for array in arrays.values()], repeats=15
        )
        saver = checkpoint_file.Saver(place / "behind")
        wait = compare_measured(
            lambda: _waited(saver, variables),
            lambda: seconds(lambda: [a.copy() for a in arrays.values()]),
            repeats=9,
        )
    note = "10 million float32 in 100 variables"
    return [
        Row("checkpoint / raw bytes with fsync", write, at_most=1.5, note=note),
        Row("copy of the state / memory copy", copy, at_most=2.0, note=note),
        Row("copy and hand-over, nothing being written / memory copy", wait, at_most=2.0, note=note),
    ]


def _raw(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _captured(variables: list[Any]) -> dict[str, np.ndarray]:
    return {f"embedder/{i:05d}": np.asarray(variable.numpy()) for i, variable in enumerate(variables)}


def _waited(saver: Any, variables: list[Any]) -> float:
    """Return the seconds that an epoch's end waits: copy and hand-over, the write itself not counted."""
    from workbench.train.checkpoint import State

    def begin() -> None:
        saver.save(State(_captured(variables), {"epoch": 1}), "e00001-s000000001.safetensors", False)

    passed = seconds(begin)
    saver.wait()
    return passed


if __name__ == "__main__":
    main(rows)
