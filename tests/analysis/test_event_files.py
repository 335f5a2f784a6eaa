"""Event files against TensorBoard's own writer, both versions of scalars, and damage at every byte."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.frames import Notes
from analysis.sources import load, tfevents
from workbench.errors import RecordError


@pytest.fixture
def event_file(tmp_path):
    """A file of four scalars in both versions, framed by TensorBoard's own record writer."""
    from tensorboard.compat.proto import event_pb2, tensor_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    path = tmp_path / "events.out.tfevents.1.host"
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(event_pb2.Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
        for step, value in enumerate([0.5, 0.25]):
            event = event_pb2.Event(wall_time=2.0 + step, step=step)
            event.summary.value.add(tag="epoch_loss", simple_value=value)
            tensor = tensor_pb2.TensorProto(dtype=1, tensor_content=np.float32(value * 2).tobytes())
            if step:
                tensor = tensor_pb2.TensorProto(dtype=2, double_val=[value * 2])
            event.summary.value.add(tag="epoch_accuracy", tensor=tensor)
            writer.write(event.SerializeToString())
    return path


def test_both_versions(event_file):
    notes = Notes("x")
    found = [(tag, step, value) for tag, step, value, _, _ in tfevents.scalars(event_file, notes)]
    assert found == [
        ("epoch_loss", 0, 0.5),
        ("epoch_accuracy", 0, 1.0),
        ("epoch_loss", 1, 0.25),
        ("epoch_accuracy", 1, 0.5),
    ]
    assert notes.all() == []


def test_a_folder_is_a_run_with_epochs_from_one(event_file):
    runs, _ = tfevents.read(event_file.parent)
    assert [metric for metric, *_ in runs[0].values] == ["loss", "accuracy"]
    assert runs[0].values[0][3]["epoch"].tolist() == [1, 2]


def test_a_cut_or_damaged_file_gives_what_is_whole_and_says_so(event_file):
    whole = event_file.read_bytes()
    for size in range(len(whole) - 40, len(whole)):
        event_file.write_bytes(whole[:size])
        notes = Notes("x")
        assert len(list(tfevents.scalars(event_file, notes))) == 2
        assert len(notes.all()) == 1 and notes.all()[0].lines == [3]
    for position in range(len(whole) - 40, len(whole)):
        event_file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        notes = Notes("x")
        assert len(list(tfevents.scalars(event_file, notes))) == 2
        assert len(notes.all()) == 1


def test_no_event_files(tmp_path):
    with pytest.raises(RecordError, match="no event files"):
        tfevents.read(tmp_path)


def test_lightning_says_the_epoch_of_a_step_and_starts_a_folder_a_version(tmp_path):
    """Lightning logs a scalar `epoch`, from 0, beside whatever it logs, at steps of training."""
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder = tmp_path / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    (folder / "hparams.yaml").write_text("lr: 0.1\n")
    logged = [
        (0, {"hp_metric": -1.0}),
        (49, {"train_loss_step": 2.0, "epoch": 0}),
        (99, {"train_loss_step": 1.0, "epoch": 0}),
        (99, {"val_loss": 1.5, "epoch": 0}),
        (99, {"train_loss_epoch": 1.5, "epoch": 0}),
        (149, {"train_loss_step": 0.5, "epoch": 1}),
        (199, {"val_loss": 0.75, "epoch": 1}),
        (199, {"train_loss_epoch": 0.5, "epoch": 1}),
    ]
    with (folder / "events.out.tfevents.1700000000.host.1.0").open("wb") as file:
        writer = RecordWriter(file)
        for number, (step, scalars) in enumerate(logged):
            event = event_pb2.Event(wall_time=1.7e9 + number, step=step)
            for tag, value in scalars.items():
                event.summary.value.add(tag=tag, simple_value=value)
            writer.write(event.SerializeToString())
    found = load([folder])
    assert found.runs["run"].tolist() == ["version_0"]
    rows = {
        metric: list(zip(own["epoch"], own["value"], own["step"]))
        for metric, own in found.epochs.groupby("metric", observed=True)
    }
    assert rows["val_loss"] == [(1, 1.5, 99), (2, 0.75, 199)]
    assert rows["train_loss_step"] == [(1, 2.0, 49), (1, 1.0, 99), (2, 0.5, 149)]
    assert rows["train_loss_epoch"] == [(1, 1.5, 99), (2, 0.5, 199)]
    assert "epoch" not in rows and set(found.epochs["kind"]) == {"measured"}
