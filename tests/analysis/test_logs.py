"""Old logs: what is read of real ones, and every way in which a log can be broken."""

from __future__ import annotations

import json

import numpy as np
import pytest
from makers import mxnet_lines, write_lines

from analysis.sources import Options, load, read_files
from workbench.errors import RecordError


def values(records, metric, kind=None):
    rows = records.epochs[records.epochs["metric"] == metric]
    return rows if kind is None else rows[rows["kind"] == kind]


def remarks(records):
    return {note.what.split(",")[0]: note.lines for note in records.notes}


# ---------------------------------------------------------------- real logs


@pytest.mark.parametrize("name", ["arcface_loss_test2-3", "softmax_loss_test2"])
def test_real_mxnet_logs_lose_no_line(real_data, name):
    path = real_data / "logs" / "mxnet" / f"{name}.log"
    found = load([path])
    text = path.read_text(encoding="utf-8")
    assert found.notes == ()  # every line is a value or of a known kind
    for metric in ("lfw", "cfp_fp", "agedb_30"):
        assert len(values(found, metric)) == text.count(f"[{metric}][") / 2  # XNorm and Accuracy-Flip
    assert len(values(found, "accuracy")) == text.count("Train-acc=")
    assert found.runs["batch_size"].iloc[0] == 512 and found.runs["status"].iloc[0] == "killed"
    row = values(found, "lfw").iloc[-1]
    line = text.split("\n")[row["line"] - 1]
    assert f"[lfw][{row['step']}]Accuracy-Flip: {row['value']:.5f}" in line
    assert set(values(found, "lr")["kind"]) == {"parsed", "inferred"}


def test_real_mxnet_evaluations_get_the_epoch_in_which_they_fell(real_data):
    found = load([real_data / "logs" / "mxnet" / "softmax_loss_test2.log"])
    rows = values(found, "agedb_30")
    steps = 7431  # steps of an epoch: 3804846 images / 512
    assert rows["epoch"].tolist() == [int(np.ceil(step / steps)) for step in rows["step"]]


def test_real_arcface_torch_log_loses_no_line(real_data):
    path = real_data / "logs" / "arcface_torch" / "ms1mv3_arcface_r50_fp16.training.log"
    found = load([path])
    text = path.read_text(encoding="utf-8")
    assert found.notes == ()
    assert values(found, "loss")["epoch"].tolist() == list(range(1, 26))
    printed = [float(line.split("Loss ")[1].split()[0]) for line in text.splitlines() if "Epoch: 24 " in line]
    assert values(found, "loss")["value"].iloc[-1] == pytest.approx(np.mean(printed))
    assert set(values(found, "loss")["kind"]) == {"inferred"}
    assert len(values(found, "lfw", "parsed")) == 62 and values(found, "lfw")["step"].max() == 124_000
    highest = max(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if "agedb_30" in line and "Highest" in line
    )
    assert values(found, "agedb_30")["value"].max() == highest


def test_real_csv_and_event_files(real_data):
    found = load([real_data / "logs" / "keras_csvlogger" / "brats_lr_training.log"])
    assert values(found, "val_loss")["epoch"].tolist() == list(range(1, 25))
    assert values(found, "lr")["value"].iloc[0] == 0.001 and found.notes == ()
    found = load([real_data / "logs" / "tensorboard"])
    assert len(found.runs) == 1 and found.notes == ()
    assert len(values(found, "loss")) == len(values(found, "val_loss")) == 30
    assert len(values(found, "batch_loss")) == 853
    both = load([real_data / "logs" / "tensorboard" / name for name in ("train", "validation")])
    assert len(both.runs) == 1 and len(both.epochs) == len(found.epochs)


# ---------------------------------------------------------------- MXNet


def test_mxnet_settings_rates_and_means(tmp_path):
    found = load([write_lines(tmp_path / "a.log", mxnet_lines(epochs=3))])
    assert found.notes == () and found.runs["lr_steps"].iloc[0] == "20,30"
    assert values(found, "accuracy")["value"].tolist() == [0.1, 0.2, 0.3]
    assert values(found, "images_per_second")["value"].tolist() == [505.0] * 3
    rates = values(found, "lr", "inferred")
    assert rates["step"].tolist() == [11, 31, 51]  # after the last printed batch
    assert rates["value"].tolist() == pytest.approx([0.1, 0.001, 0.001])
    assert found.runs["seconds"].iloc[0] == 3 + 3 * 8 - 1


def test_several_launches_are_several_runs_or_one(tmp_path):
    path = write_lines(tmp_path / "a.log", mxnet_lines() + mxnet_lines())
    found = load([path])
    assert found.runs["run"].tolist() == ["a#1", "a#2"]
    one = load([path], options=Options(as_one_run=True))
    assert one.runs["run"].tolist() == ["a"]
    rows = values(one, "lfw")
    assert rows["epoch"].tolist() == [1, 2, 3, 4] and rows["stage"].tolist() == [1, 1, 2, 2]
    assert rows["step"].tolist() == [20, 40, 60, 80]


def test_broken_lines_are_reported_by_number(tmp_path):
    lines = mxnet_lines()
    lines[3] = lines[3][:70]  # a batch line cut
    lines.insert(5, lines[4])  # a batch line again
    lines.insert(6, "[2018-05-07 10:00:05]  [lfw][2[2018-05-07 10:00:05]  [lfw][20]XNorm: 1.0")
    lines.append(next(line for line in lines if "Accuracy-Flip" in line))  # an evaluation again
    found = load([write_lines(tmp_path / "a.log", lines)])
    assert remarks(found) == {
        "a batch line that is cut or mixed with another": [4],
        "a batch line that repeats or goes back (two programs in one file?)": [6],
        "not understood (cut": [7],
        "a value that was there before is repeated; the first is used": [len(lines)],
    }
    assert len(values(found, "lfw")) == 2


@pytest.mark.parametrize("kept", [1, 5, 12, 20])
def test_a_log_cut_in_the_middle_of_a_line(tmp_path, kept):
    lines = mxnet_lines()
    whole = load([write_lines(tmp_path / "whole.log", lines[:-1])])
    cut = load([write_lines(tmp_path / "cut.log", [*lines[:-1], lines[-1][:-kept]], end="")])
    assert len(cut.epochs) == len(whole.epochs)
    assert [note.lines for note in cut.notes] == [[len(lines)]]


# ---------------------------------------------------------------- arcface_torch, Keras


SPEED = "Training: 2021-03-14 21:40:{:02d},151-Speed 4475.51 samples/sec   Loss {:.4f}   LearningRate 0.1000   Epoch: {}   Global Step: {}   Fp16 Grad Scale: 256   Required: 9 hours"


def test_arcface_torch_with_rates_and_repeats(tmp_path):
    lines = [SPEED.format(n, 10 - n, n // 2, n * 50 + 50) for n in range(4)]
    lines.insert(2, "Training: 2021-03-14 21:48:28,128-[lfw][100]Accuracy-Flip: 0.97933+-0.00720")
    lines.insert(3, lines[0])  # goes back
    lines.append("Training: 2021-03-14 21:48:28,128-something else")
    lines.append(SPEED.format(9, 1, 2, 500).replace("LearningRate 0.1000   ", ""))  # of another version
    found = load([write_lines(tmp_path / "training.log", lines)])
    assert values(found, "loss")["value"].tolist() == [9.5, 7.5, 1.0]
    assert values(found, "lr")["value"].tolist() == [0.1, 0.1]
    assert values(found, "lfw")[["epoch", "step", "line"]].iloc[0].tolist() == [1, 100, 3]
    assert [note.lines for note in found.notes] == [[4], [7]]


@pytest.mark.parametrize(
    "stamp, started",
    [("2018-05-07T10:00:{:02d}", "2018-05-07 10:00:00+00:00"), ("2018-99-07 10:00:{:02d}", None)],
)
def test_stamps_of_another_form_and_impossible_ones(tmp_path, stamp, started):
    lines = [f"[{stamp.format(n)}]{line[21:]}" for n, line in enumerate(mxnet_lines())]
    found = load([write_lines(tmp_path / "a.log", lines)])
    assert found.notes == () and len(values(found, "lfw")) == 2
    assert found.runs["seconds"].iloc[0] == (
        len(lines) - 1 if started else 20.0
    )  # else of the printed epochs
    assert str(found.runs["started"].iloc[0]) == (started or "NaT")


@pytest.mark.parametrize("digits", [20, 5000])
def test_numbers_of_too_many_digits_are_damage(tmp_path, digits):
    many = "9" * digits
    logs = {
        "mxnet.log": [*mxnet_lines(), f"INFO:root:Epoch[{many}] Batch [20]\tSpeed: 500.00 samples/sec"],
        "steps.log": [
            mxnet_lines()[1].replace("20,30", many),
            *mxnet_lines()[3:],
            f"[lfw][{many}]XNorm: 1.000000",
        ],
        "torch.log": [SPEED.format(1, 2.0, 0, 50), SPEED.format(2, 1.0, many, 100)],
        "keras.log": [
            "Epoch 1/2",
            " - 5s - loss: 2.0000",
            f"Epoch {many}/2",
            f"1/{many} - 1s - loss: 1.0000",
        ],
    }
    for name, lines in logs.items():
        found = load([write_lines(tmp_path / name, lines)])
        assert found.epochs["epoch"].max() <= 2 and found.notes, name


def test_a_clock_that_goes_back_is_no_duration(tmp_path):
    lines = [SPEED.format(9 - n, 10 - n, n // 2, n * 50 + 50) for n in range(4)]
    found = load([write_lines(tmp_path / "training.log", lines)])
    assert np.isnan(found.runs["seconds"].iloc[0]) and len(values(found, "seconds")) == 0


def test_csv_resumed_repeated_and_cut(tmp_path):
    text = "epoch,loss,acc\n0,3,0.1\n1,2,0.2\n2,1.5,0.3\n2,1.5,0.3\n1,2.1,0.21\n2,1.6,NA\n3,1.2\n3,1.1,0.4"
    path = tmp_path / "a.csv"
    path.write_text(text)
    found = load([path])
    assert values(found, "loss")["value"].tolist() == [3, 2.1, 1.6, 1.1]
    assert values(found, "loss")["attempt"].tolist() == [1, 2, 2, 2]
    assert values(found, "acc")["value"].tolist() == [0.1, 0.21]  # NA, and the value that may be cut
    said = remarks(found)
    assert said["a row that repeats the one before"] == [5]
    assert said["a row that a later one supersedes (resumed training)"] == [4, 3]
    assert said["a row that is cut or mixed with another"] == [8]
    assert said["the last line has no line end: its last value may be cut and is not used"] == [9]


def test_csv_begun_anew_is_another_run(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("epoch;loss\n0;3\n1;2\n0;4\n1;3\n")
    assert load([path]).runs["run"].tolist() == ["a#1", "a#2"]


def test_keras_output(tmp_path):
    lines = [
        "Epoch 1/3",
        "469/469 - 8s - loss: 2.5000 - accuracy: 0.2500 - lr: 0.1000 - 8s/epoch - 17ms/step",
        ">>>> lfw evaluation max accuracy: 0.812345, thresh: 0.301, previous max accuracy: 0.0",
        "Epoch 2/3",
        "469/469 - 500ms - loss: nan - accuracy: 0.5000",
        "Epoch 3/3",
        "Epoch 3: saving model to x",
        "469/469 - 8s - loss: 1.0000 - acc",
        "Epoch 3/3",
        "469/469 - 8s - loss: 1.0000 - accuracy: 0.7500",
    ]
    found = load([write_lines(tmp_path / "fit.txt", lines)])
    loss = values(found, "loss")
    assert loss["epoch"].tolist() == [1, 2, 3] and np.isnan(loss["value"].iloc[1])
    assert values(found, "seconds")["value"].tolist() == [8.0, 0.5, 8.0]
    assert values(found, "lfw")[["value", "line"]].iloc[0].tolist() == [0.812345, 3]
    assert set(loss["kind"]) == {"parsed"}
    assert [note.lines for note in found.notes] == [[8], [9]]


# ---------------------------------------------------------------- histories


def test_lists_of_unequal_length_need_the_stages(tmp_path):
    path = tmp_path / "a_hist.json"
    path.write_text(json.dumps({"loss": [5, 4, 3, 2, 1], "triplet": [3, 2, 1]}))
    with pytest.raises(RecordError, match="unequal length.*--stages"):
        load([path])
    found = load([path], options=Options(stages=(2, 3)))
    assert values(found, "triplet")["epoch"].tolist() == [3, 4, 5]
    assert set(values(found, "triplet")["kind"]) == {"inferred"}
    assert "epochs 3 to 5" in str(found.notes[0])
    first = load([path], options=Options(stages=(3, 2)))
    assert values(first, "triplet")["epoch"].tolist() == [1, 2, 3]


def test_real_branches_align_their_triplet_loss(real_data):
    path = real_data / "histories" / "mobilenet_emore_bs256" / "soft_E80_arc_trip_64_alpha0_3_E40_hist.json"
    found = load([path], options=Options(stages=(2, 10, 10), first_epoch=81))
    assert values(found, "triplet_embedding_loss")["epoch"].tolist() == list(range(83, 103))
    assert values(found, "loss")["stage_epoch"].iloc[:3].tolist() == [1, 2, 1]


@pytest.mark.parametrize("content", ["{", "[1]", '{"loss": "x"}', '{"loss": ["x"]}', '{"loss": []}'])
def test_bad_histories_are_refused(tmp_path, content):
    path = tmp_path / "a_hist.json"
    path.write_text(content)
    with pytest.raises(RecordError) as error:
        load([path])
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_zeros_can_be_gaps_and_two_runs_of_one_name_are_told_apart(tmp_path):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "a_hist.json")
        paths[-1].write_text(json.dumps({"loss": [2, 1, 1], "lfw": [0, 0.5, 0.6]}))
    found = read_files(paths, Options(zeros_are_gaps=True))
    assert found.runs["run"].tolist() == ["x/a", "y/a"]
    assert len(values(found, "lfw")) == 4 and "1 zeros" in str(found.notes[0])


def test_unknown_files_are_refused(tmp_path):
    path = write_lines(tmp_path / "a.log", ["nothing of the kind"])
    for item, words in (
        (path, "not a record"),
        (tmp_path / "none.log", "no such file"),
        (tmp_path / "*.x", "no file fits"),
    ):
        with pytest.raises(RecordError, match=words):
            load([item])
