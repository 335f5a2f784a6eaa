"""The small records of people that once failed: each gives what its README says is right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.frames import best, per_epoch
from analysis.sources import Options, load
from analysis.tables.summary import default_metric
from workbench import names
from workbench.data import pair_formats


@pytest.fixture
def read(real_data):
    return lambda name, **options: load([real_data / "records" / name], options=Options(**options))


def series(records, metric):
    """Return a metric by epoch as {epoch: value}."""
    rows = per_epoch(records.epochs[records.epochs["metric"] == metric])
    return dict(zip(rows["epoch"], rows["value"]))


def the_best(records, metric):
    row = best(records.epochs, metric).iloc[0]
    return float(row["value"]), int(row["epoch"])


def said(records):
    return " | ".join(note.what for note in records.notes)


def test_lightning_is_one_run_and_no_row_is_lost(read, real_data):
    found = read("lightning_metrics.csv")
    assert len(found.runs) == 1 and "step" not in set(found.epochs["metric"])
    lines = (real_data / "records" / "lightning_metrics.csv").read_text().splitlines()[1:]
    cells = sum(len([cell for cell in line.split(",")[2:] if cell]) for line in lines)
    assert (found.epochs["kind"] == "measured").sum() == cells
    first = [float(line.split(",")[3]) for line in lines if line.startswith("0,") and line.split(",")[3]]
    assert series(found, "train_loss")[1] == pytest.approx(np.mean(first))
    assert "an epoch has their mean (inferred)" in said(found)
    assert default_metric(found) == "val_accuracy" and min(series(found, "val_accuracy")) == 1


def test_pandas_index_is_the_epoch_from_0(read):
    found = read("pandas_history_with_index.csv")
    assert list(series(found, "loss")) == list(range(1, 21)) and found.notes == ()
    assert set(found.epochs["metric"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_ultralytics_counts_from_1_and_rates_never_count(read):
    found = read("ultralytics_results.csv")
    assert default_metric(found) == "metrics/mAP50-95(B)"
    assert the_best(found, "metrics/mAP50-95(B)")[1] == 47
    assert max(series(found, "train/box_loss")) == 50 and not names.counts("lr/pg0")
    assert names.direction("val/cls_loss") == names.LOWER
    assert series(found, "seconds")[2] == pytest.approx(7408.14 - 4428.93)


def test_hugging_face_evaluations_stand_at_their_epoch(read):
    found = read("huggingface_trainer_state.json")
    rows = found.epochs[found.epochs["metric"] == "eval_accuracy"]
    assert rows[["epoch", "step"]].values.tolist() == [[1, 3000], [2, 6000]]
    assert the_best(found, "eval_loss") == (0.08002225309610367, 2)
    assert (found.epochs["metric"] == "batch_loss").sum() == 66 and found.runs["num_train_epochs"].iloc[
        0
    ] == 2


def test_keras_progress_bars(read):
    three = read("keras3_progress.log")
    for metric in ("accuracy", "loss", "val_accuracy", "val_loss"):
        assert list(series(three, metric)) == list(range(1, 51))
    assert series(three, "val_accuracy")[50] == 0.6379 and series(three, "loss")[50] == 0.9907
    two = read("tf215_progress.log")
    assert len(two.runs) == 1 and list(series(two, "val_loss").values()) == [0.7328, 0.7192, 0.7085, 0.7004]
    assert series(two, "accuracy")[1] == 0.4479
    old = read("keras2_progress_warnings.log")
    assert series(old, "loss") == {1: 270.295, 2: 3.5313, 3: 2519.9942, 4: 24.8725, 5: 104.2208, 6: 10.0355}
    assert series(old, "seconds")[1] == 213


def test_an_error_falls(read):
    found = read("history_mae.json")
    assert default_metric(found) == "val_mae"
    value, epoch = the_best(found, "val_mae")
    assert value == pytest.approx(6.468, abs=1e-3) and epoch == 26


def test_face_verification(read):
    found = read("verification_history.csv")
    assert list(series(found, "loss")) == [1, 2, 3, 4, 5]
    value, epoch = the_best(found, "LFW_eer")
    assert value == pytest.approx(0.0230, abs=1e-4) and epoch == 5
    for metric in map(str, found.epochs["metric"].unique()):
        ending = metric.rpartition("_")[2]
        assert names.counts(metric) == (ending not in ("pairs", "threshold", "lr", "seconds")), metric
        if ending in ("eer", "far", "frr"):
            assert names.direction(metric) == names.LOWER
    assert default_metric(found) == "LFW_accuracy"


def test_a_repeated_header_goes_on_with_the_run(read):
    found = read("csvlogger_header_again.csv")
    assert len(found.runs) == 1 and list(series(found, "val_loss")) == [1, 2, 3, 4, 5]
    assert "the header again" in said(found)


def test_fastai_times_are_seconds(read):
    found = read("fastai_history.csv")
    assert series(found, "time") == series(found, "seconds") == {1: 18, 2: 17, 3: 17, 4: 17}
    assert default_metric(found) == "error_rate" and the_best(found, "error_rate") == (0.009323, 4)


@pytest.mark.parametrize(
    ("name", "metric", "values"),
    [
        ("capital_epoch.csv", "Val Acc", {1: 0.5, 2: 0.6}),
        ("bom.json", "val_accuracy", {1: 0.5, 2: 0.6}),
        ("pandas_to_json.json", "val_accuracy", {1: 0.5, 2: 0.6}),
        ("epoch_list.json", "loss", {1: 1.2, 2: 0.9}),
        ("vector_metric.json", "val_accuracy", {1: 0.5, 2: 0.6}),
        ("array_cell.csv", "val_accuracy", {1: 0.5, 2: 0.6}),
    ],
)
def test_spellings_of_the_same(read, name, metric, values):
    found = read(name)
    assert len(found.runs) == 1 and series(found, metric) == values
    assert not {"epoch", "Epoch", "f1", "val_f1_per_class"} & set(found.epochs["metric"])
    if name in ("vector_metric.json", "array_cell.csv"):
        assert "left out" in said(found)


def test_utf16_and_a_file_that_is_cut(read):
    found = read("utf16.csv")
    assert series(found, "val_loss")[1] == 0.05463637784123421 and len(series(found, "loss")) == 9
    assert "a row that is cut" in said(found)


def test_mxnet_with_another_prefix(read):
    found = read("mxnet_other_prefix.log")
    assert set(found.epochs["epoch"]) == {13}  # printed as 12, from 0
    assert series(found, "accuracy") == {13: 1.0} and series(found, "ilfw-test") == {13: 0.15668}
    assert series(found, "images_per_second")[13] == pytest.approx((67.70 + 68.10 + 67.91) / 3)
    assert found.notes == () and default_metric(found) == "ilfw-test"


def test_event_files_of_two_attempts_are_one_run(read):
    found = read("resumed_events")
    assert len(found.runs) == 1 and set(found.epochs["attempt"]) == {1, 2}
    value, epoch = the_best(found, "val_accuracy")
    assert value == pytest.approx(0.904) and epoch == 5  # the abandoned 0.909 does not count
    assert list(series(found, "val_accuracy")) == list(range(1, 13)) and "supersedes" in said(found)


def test_pairs_of_encoded_columns_and_plain_lists(real_data, tmp_path):
    found = pair_formats.read(real_data / "records" / "pairs_imencode_columns.bin")
    assert all(isinstance(image, bytes) and image.startswith(b"\xff\xd8") for image in found.encoded)
    plain = (real_data / "records" / "pairs_image_image_flag.txt").read_text()
    for number in range(1, 2 * len(plain.splitlines()) + 1):
        (tmp_path / f"{number:05d}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([number]))
    for parting in (" ", "\t", ","):
        listed = tmp_path / "list.txt"
        listed.write_text(plain.replace(" ", parting))
        pairs = pair_formats.read(listed)
        assert len(pairs.same) == len(plain.splitlines()) and pairs.same.all()


def test_what_is_inferred_can_be_said(read, tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("epoch,loss\n5,2.0\n6,1.0\n")
    found = load([path])
    assert list(series(found, "loss")) == [6, 7] and "--epochs-from 1" in said(found)
    assert list(series(load([path], options=Options(epochs_from=1)), "loss")) == [5, 6]
    assert math.isclose(series(found, "loss")[7], 1.0)
