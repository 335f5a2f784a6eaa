"""Which state a resume goes on from: said, with what is passed over; none left is refused unless asked for."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import epoch, start

from workbench.errors import RecordError
from workbench.tracking.journal import encode_line
from workbench.tracking.rows import CheckpointRecord
from workbench.tracking.store import Store
from workbench.train import checkpoint, checkpoint_file
from workbench.train.progress import Screen
from workbench.train.request import RunRequest
from workbench.train.resume_state import resume_state

RUN = "20260101T000001Z-00000001"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with an interrupted run of three epochs, the last two states of which are kept."""
    found = Store(tmp_path / "mlruns", f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    found.journals.mkdir(parents=True)
    rows: list[Any] = [start(RUN)]
    for number in (1, 2, 3):
        name = checkpoint_file.file_name(number, 10 * number)
        if number > 1:
            facts = {"run": RUN, "epoch": number, "epoch_step": 0, "step": 10 * number}
            checkpoint_file.write(
                found.run_checkpoints(RUN) / name, checkpoint.State({"w": np.ones(number)}, facts)
            )
        rows += [epoch(number), CheckpointRecord(epoch=number, step=10 * number, file=name, digest="d")]
    found.journal(RUN).write_bytes(b"".join(map(encode_line, rows)))
    return found


def asked(store: Store, **fields: Any) -> tuple[checkpoint.State | None, str]:
    stream = io.StringIO()
    request = RunRequest(None, store, RUN, resume=True, **fields)  # type: ignore[arg-type]
    return resume_state(request, Screen(stream)), stream.getvalue()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def newest(store: Store) -> list[Path]:
    return checkpoint_file.generations(store.run_checkpoints(RUN))


def test_it_says_which_state_it_takes(store: Store) -> None:
    state, said = asked(store)
    assert state is not None and state.facts["epoch"] == 3
    assert said == "going on after epoch 3, from e00003-s000000030.safetensors\n"


@pytest.mark.parametrize("how", ["damaged", "missing", "empty", "of another run"])
def test_a_newest_state_that_is_not_sound_is_passed_over_with_a_word(store: Store, how: str) -> None:
    path = newest(store)[0]
    if how == "damaged":
        damage(path)
    elif how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    else:
        facts = {"run": "20260101T000009Z-00000009", "epoch": 3, "epoch_step": 0, "step": 30}
        checkpoint_file.write(path, checkpoint.State({"w": np.ones(3)}, facts))
    state, said = asked(store)
    assert state is not None and state.facts["epoch"] == 2
    assert path.name in said and "passed over" in said and "going on after epoch 2" in said


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_none_left_is_refused_unless_asked_for(store: Store, how: str) -> None:
    for path in newest(store):
        damage(path) if how == "damaged" else path.unlink()
    with pytest.raises(RecordError, match=rf"checkpoints are {how}.*--from-start"):
        asked(store)
    state, said = asked(store, from_start=True)
    assert state is None and "from its first epoch" in said
    assert not newest(store)  # they would pass for newer than what is written now
    kept = {path.name for path in store.run_checkpoints(RUN).iterdir()} if how == "damaged" else set()
    assert all(name.startswith("before-attempt-2-") for name in kept) and len(kept) == (
        2 if how == "damaged" else 0
    )


def test_a_run_that_kept_nothing_begins_where_it_began(store: Store) -> None:
    for path in newest(store):
        path.unlink()
    store.journal(RUN).write_bytes(encode_line(start(RUN)) + encode_line(epoch(1)))
    state, said = asked(store)
    assert state is None and "no state of it was kept" in said
