"""Checkpoint files: exact, atomic, and never trusted when a byte is wrong. No TensorFlow here."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.train import checkpoint_file
from workbench.train.checkpoint import State


@pytest.fixture
def state() -> State:
    rng = np.random.default_rng(0)
    arrays = {
        "embedder/00000": rng.normal(size=(3, 4)).astype(np.float32),
        "step/00000": np.array(7, np.int64),
        "random/numpy": rng.integers(0, 2**32, 8, dtype=np.uint32),
        "flag": np.array([True, False]),
        "none": np.zeros((0, 2), np.float32),
    }
    return State(arrays, {"epoch": 3, "best": {"metric": "lfw", "epoch": 2, "value": 0.5}})


def same(one: State, other: State) -> bool:
    return dict(one.facts) == dict(other.facts) and all(
        np.array_equal(one.arrays[name], other.arrays[name])
        and one.arrays[name].dtype == other.arrays[name].dtype
        for name in set(one.arrays) | set(other.arrays)
    )


def test_what_is_written_is_read(tmp_path: Path, state: State) -> None:
    digest = checkpoint_file.write(tmp_path / "a.safetensors", state)
    again = checkpoint_file.read(tmp_path / "a.safetensors")
    assert same(again, state)
    assert checkpoint_file.digest(again) == digest
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_cut_at_every_byte_it_is_refused(tmp_path: Path, state: State) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint_file.write(path, state)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(RecordError):
            checkpoint_file.read(path)


def test_a_flipped_bit_never_gives_a_wrong_value(tmp_path: Path, state: State) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint_file.write(path, state)
    whole = path.read_bytes()
    rng = random.Random(1)
    refused = 0
    for _ in range(1000):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            assert same(checkpoint_file.read(path), state)
        except RecordError:
            refused += 1
    assert refused > 900


def test_two_generations_and_the_best_are_kept(tmp_path: Path, state: State) -> None:
    saver = checkpoint_file.Saver(tmp_path)
    sharing_stop: list[str] = []
    for epoch in range(1, 6):
        changed = State(state.arrays, {**state.facts, "epoch": epoch})
        saver.save(
            changed,
            checkpoint_file.file_name(epoch, epoch),
            epoch == 2,
            then=lambda file, _: sharing_stop.append(file),
        )
    saver.wait()
    assert len(sharing_stop) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.safetensors",
        checkpoint_file.file_name(4, 4),
        checkpoint_file.file_name(5, 5),
    ]
    assert checkpoint_file.read(tmp_path / checkpoint_file.BEST).facts["epoch"] == 2


def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path: Path, state: State) -> None:
    for epoch in (1, 2):
        changed = State(state.arrays, {**state.facts, "epoch": epoch})
        checkpoint_file.write(tmp_path / checkpoint_file.file_name(epoch, epoch), changed)
    newest = tmp_path / checkpoint_file.file_name(2, 2)
    newest.write_bytes(newest.read_bytes()[:-5])
    found = checkpoint_file.newest(tmp_path)
    assert found is not None
    assert found.facts["epoch"] == 1


def test_what_goes_wrong_behind_the_training_is_raised_at_the_next_save(tmp_path: Path, state: State) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    saver = checkpoint_file.Saver(blocked)
    saver.save(state, "e1.safetensors", False)
    with pytest.raises(OSError, match="file"):
        saver.wait()
