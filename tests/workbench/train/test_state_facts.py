"""A state that came with a merged run says what a training writes, or is no sound state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.errors import RecordError
from workbench.train import checkpoint, checkpoint_file, state_facts

RUN = "20260101T000000Z-00000001"
SOUND: dict[str, Any] = {
    "run": RUN,
    "id": "0123456789ab",
    "attempt": 1,
    "stage": 1,
    "epoch": 2,
    "epoch_step": 0,
    "step": 20,
    "rows": 2,
    "best": {"metric": "lfw", "value": 0.5, "epoch": 1, "step": 10},
    "inside": {},
    "spent": 1.5,
    "numpy_position": 3,
    "trunk": {"run": RUN, "epoch": 1, "stage": 1, "step": 10},
}
CHANGED = {
    "a list": [1],
    "a text": "x",
    "an epoch of text": {**SOUND, "epoch": "two"},
    "an epoch of truth": {**SOUND, "epoch": True},
    "a step below": {**SOUND, "step": -1},
    "a step of half": {**SOUND, "step": 0.5},
    "a run of a list": {**SOUND, "run": ["x"]},
    "a trunk elsewhere": {**SOUND, "trunk": {"run": "../../x", "epoch": 1}},
    "a trunk of text": {**SOUND, "trunk": "x"},
    "a best of nothing": {**SOUND, "best": {}},
    "a best of text": {**SOUND, "best": {"metric": "lfw", "value": "good", "epoch": 1}},
    "no time": {**SOUND, "spent": float("nan")},
    "inside of a list": {**SOUND, "inside": [1]},
}


def write(path: Path, facts: Any) -> Path:
    state = checkpoint.State({"w": np.arange(3.0)}, facts)
    save_file(
        dict(state.arrays),
        path,
        metadata={"facts": json.dumps(facts, sort_keys=True), "digest": checkpoint_file.digest(state)},
    )
    return path


def test_a_sound_state_comes_back(tmp_path: Path) -> None:
    assert checkpoint_file.read(write(tmp_path / "e00002.safetensors", SOUND)).facts == SOUND
    assert state_facts.are_possible({}) and state_facts.are_possible({**SOUND, "best": None})


@pytest.mark.parametrize("facts", CHANGED.values(), ids=CHANGED)
def test_a_state_that_says_what_no_training_does_is_not_sound(tmp_path: Path, facts: Any) -> None:
    assert not state_facts.are_possible(facts)
    with pytest.raises(RecordError, match="no sound checkpoint"):
        checkpoint_file.read(write(tmp_path / "e00002.safetensors", facts))


def test_facts_nested_without_an_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e00002.safetensors"
    save_file({"w": np.arange(3.0)}, path, metadata={"facts": "[" * 100_000, "digest": "0"})
    with pytest.raises(RecordError, match="no sound checkpoint"):
        checkpoint_file.read(path)
