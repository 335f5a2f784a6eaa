"""A thousand mutations of a TFRecord file and a cut at every byte: one line each; a few of them are quick tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from material import mutations, survives

from workbench.data.sources import tfrecords


def test_a_thousand_damaged_files(tmp_path: Path) -> None:
    rows = [
        (k // 2, f"p{k // 2}", f"{k}", b"an image of some bytes %d" % k, np.ones(3, np.float16))
        for k in range(4)
    ]
    path = tmp_path / "x.tfrecord"
    tfrecords.write(path, rows)
    whole = path.read_bytes()

    def read(file: Path) -> object:
        return tfrecords.content(file, tfrecords.Keys())

    assert survives(read, path, mutations(whole, 1000), 2000)["refused"] > 900
    borders = {len(whole) // 4 * k for k in range(1, 4)}
    cut = [whole[:length] for length in range(1, len(whole)) if length not in borders]
    assert survives(read, path, cut, 2000)["read"] == 0
