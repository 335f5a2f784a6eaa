"""What is read at once is what is read cell by cell: the same runs, values and remarks, on files of every kind."""

from __future__ import annotations

import contextlib
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.sources import csv_cells, csv_log, history_json, json_forms, keras_output
from analysis.sources.same_format_epochs import EpochFormat
from workbench.errors import RecordError


@pytest.fixture
def slowly(monkeypatch):
    """Turn off everything that takes many cells, lines or epochs at once."""

    def off():
        monkeypatch.setattr(csv_cells, "read_by_arrow", lambda *given: None)
        monkeypatch.setattr(csv_log, "read_by_arrow", lambda *given: None)
        monkeypatch.setattr(json_forms, "_read_by_arrow", lambda text: None)
        monkeypatch.setattr(json_forms, "_plain_lines", lambda lines: None)
        monkeypatch.setattr(json_forms, "numbers_of", lambda cells: None)
        monkeypatch.setattr(EpochFormat, "found", lambda *given: [])

    return off


def seen(reader, path):
    runs, notes = reader(path)
    values = {
        (data.run, metric): (kind, {name: column.tolist() for name, column in block.items()})
        for data in runs
        for metric, kind, _, block in data.values
    }
    return repr(sorted(values.items())), [str(note) for note in notes]


KERAS = "".join(
    f"Epoch {n}/30\n500/500 - {n % 3}s - loss: {1 / n:.4f} - val_loss: -{n}.5000e-05 - {n % 3}s/epoch - 2ms/step\n"
    + ("WARNING:tensorflow: slow\n" if n == 9 else "")
    for n in [*range(1, 20), *range(15, 31)]
)
CASES = {
    "plain.csv": "epoch,loss,acc\n0,0.1234567890123456789,1e-5\n1,nan,\n2,-inf,NA\n",
    "text.csv": "epoch,optimizer,loss,time\n0,SGD,0.1,00:18\n1,Adam,tensor(0.3),1:00:19\n",
    "quoted.csv": '"Step","a - loss","a - loss__MIN"\n"0","0.5","0.1"\n"1","","0.2"\n',
    "comma.csv": "epoch;loss\n0;0,5\n1;0,25\n",
    "white.csv": "epoch   loss  acc\n0   0.5   0.1\n1   0.25  0.2\n",
    "again.csv": "epoch,loss\n0,1\n1,0.5\nepoch,loss\n2,0.25\n3,x\n4\n\n5,0.1",
    "cut.csv": "epoch,loss\n0,1.5\n1,1.25",
    "trailing.csv": "epoch,loss,\n0,1.5,\n1,1.25,\n",
    "blank.csv": "epoch,loss\n\n0,1.5\n\n1,1.25\n\n",
    "array.csv": 'epoch,iou,loss\n0,"[0.1\n 0.2]",2\n1,"[0.3, 0.4]",1\n',
    "padded.csv": "   epoch,   train/box_loss,  lr/pg0\n     1,    1.25,   0.01\n     2,   1.0,   0.02\n",
    "plain_hist.json": json.dumps({"loss": [0.1, 2, 1e-300], "lr": [1, 2, 3]}),
    "nan_hist.json": '{"loss": [0.1, NaN], "acc": [Infinity, 1]}',
    "big_hist.json": '{"loss": [1e400, 1' + "0" * 400 + ', 1], "n": [12345678901234567890123, 1, 2]}',
    "columns.json": pd.DataFrame({"loss": [0.1, 0.2], "acc": [1, 2]}).to_json(),
    "lines.json": '{"epoch": 0, "loss": 0.5}\n\n{"epoch": 1, "loss": null, "acc": 1}\n{"epoch": 2, "loss": true}\n',
    "cut.json": '{"epoch": 0, "loss": 0.5}\n{"epoch": 1, "loss": 0.25}\n{"epoch": 2, "lo',
    "one.json": '{"epoch": 0, "loss": 0.5}\n',
    "keras.log": KERAS,
    "crlf.log": KERAS.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_at_once_is_as_one_by_one(tmp_path, slowly, name):
    path = tmp_path / name
    path.write_text(CASES[name], newline="")
    reader = {"csv": csv_log, "json": history_json, "log": keras_output}[name.rpartition(".")[2]].read
    quickly = seen(reader, path)
    slowly()
    assert quickly == seen(reader, path)
    assert quickly[0] != "[]"


def test_a_delimiter_at_the_end_of_rows_and_a_cut_file(tmp_path):
    (tmp_path / "a.csv").write_text("epoch,loss,\n0,1.5,\n1,1.25,\n")
    (tmp_path / "b.csv").write_text("epoch,loss,acc\n0,1.5,0.5\n1,1.25,0.6")
    for name, wanted in (("a.csv", {"loss": [1.5, 1.25]}), ("b.csv", {"loss": [1.5, 1.25], "acc": [0.5]})):
        (data,), _ = csv_log.read(tmp_path / name)
        assert {metric: block["value"].tolist() for metric, _, _, block in data.values} == wanted


def test_real_files_at_once_are_as_one_by_one(real_data, slowly):
    records = real_data / "records"
    readers = {".csv": csv_log.read, ".json": history_json.read, ".log": keras_output.read}
    files = [path for path in sorted(records.iterdir()) if path.suffix in readers]
    files = [path for path in files if "mxnet" not in path.name]
    quickly = [seen(readers[path.suffix], path) for path in files]
    slowly()
    assert quickly == [seen(readers[path.suffix], path) for path in files] and len(files) > 10


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=30))
def test_numbers_are_exact(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("exact")
    (folder / "a.csv").write_text("epoch,loss\n" + "".join(f"{n},{v!r}\n" for n, v in enumerate(values)))
    finite = [value for value in values if np.isfinite(value)] or [0.0]
    (folder / "a.json").write_text(json.dumps({"loss": finite}))
    text = "".join(json.dumps({"epoch": n, "loss": v}) + "\n" for n, v in enumerate(finite))
    (folder / "b.json").write_text(text)
    for reader, name, wanted in (
        (csv_log, "a.csv", values),
        (history_json, "a.json", finite),
        (history_json, "b.json", finite),
    ):
        (data,), _ = reader.read(folder / name)
        assert data.values[0][3]["value"].tolist() == wanted


def test_an_object_of_many_names_takes_no_time(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"loss": {str(n): 1 / (n + 1) for n in range(20_000)}}))
    began = time.process_time()
    (data,), _ = history_json.read(path)
    assert data.last_epoch == 20_000 and time.process_time() - began < 3


@pytest.mark.parametrize(
    "content",
    [
        '{"a":' + "[" * 300_000 + "]" * 300_000 + "}",
        '{"a":\n' * 100_000 + "1" + "}" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a": {"a": [' * 50_000,
        "".join(f'{{"epoch": {n}, "a": [[[1]]]}}\n' for n in range(3)),
        "".join(f'{{"name{n}": {n}}}\n' for n in range(5000)),
    ],
    ids=["lists", "objects on lines", "objects", "cut", "lists in lines", "names"],
)
def test_depth_and_width_end_no_program(tmp_path, content):
    """Arrow would: it goes down by calls of C++, and makes a column a name."""
    path = tmp_path / "a.json"
    path.write_text(content)
    began = time.process_time()
    with contextlib.suppress(RecordError):
        history_json.read(path)
    assert time.process_time() - began < 20


def test_epochs_that_look_alike_are_taken_together(tmp_path, monkeypatch):
    """Otherwise the two ways would be compared with themselves."""
    taken = []
    real = keras_output._take
    monkeypatch.setattr(keras_output, "_take", lambda *given: taken.append(real(*given)) or taken[-1])
    path = tmp_path / "a.log"
    path.write_text(KERAS)
    (data,), _ = keras_output.read(path)
    assert True in taken and data.last_epoch == 30
    values = {metric: block for metric, _, _, block in data.values}
    assert values["loss"]["value"].tolist() == [round(1 / n, 4) for n in range(1, 31)]
