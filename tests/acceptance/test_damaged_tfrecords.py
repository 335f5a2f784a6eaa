"""A thousand mutations of a TFRecord file and a cut at every byte: one line each; a few of them are quick tests."""

from __future__ import annotations

from pathlib import Path

from material import mutations, survives, write_small_tfrecord

from workbench.data.sources import tfrecords


def test_a_thousand_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    whole = write_small_tfrecord(path)

    def read(file: Path) -> object:
        return tfrecords.content(file, tfrecords.Keys())

    assert survives(read, path, mutations(whole, 1000), 2000)["refused"] > 900
    borders = {len(whole) // 4 * k for k in range(1, 4)}
    cut = [whole[:length] for length in range(1, len(whole)) if length not in borders]
    assert survives(read, path, cut, 2000)["read"] == 0
