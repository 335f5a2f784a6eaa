"""`choose_accuracy` against the printed tables of real trainings, and its edges."""

from __future__ import annotations

import json
import math

import pytest

from analysis import choose_accuracy
from workbench.errors import RecordError

# maxima with 0-based epochs, from the published comparison of sub-center ArcFace on CASIA
SUBCENTER = {
    "base_topk1": {"lfw": (0.9822, 38), "cfp_fp": (0.8694, 44), "agedb_30": (0.8695, 36)},
    "topk3": {"lfw": (0.9838, 30), "cfp_fp": (0.9044, 34), "agedb_30": (0.8743, 34)},
    "topk3_to_1": {"lfw": (0.9838, 23), "cfp_fp": (0.8960, 46), "agedb_30": (0.8768, 31)},
}


def test_real_maxima(real_data, capsys):
    folder = real_data / "histories" / "subcenter_casia"
    best, own, _ = choose_accuracy([folder / f"{name}_hist.json" for name in SUBCENTER])
    for name, maxima in SUBCENTER.items():
        for metric, (value, epoch) in maxima.items():
            assert own[f"{name}_hist"][metric] == f"{value:.4f}, {epoch:2d}"
        assert best[f"{name}_hist"]["epoch"] == maxima["agedb_30"][1]
        assert best[f"{name}_hist"]["agedb_30"] == pytest.approx(maxima["agedb_30"][0], abs=5e-5)
    printed = capsys.readouterr().out
    headings = [line for line in printed.splitlines() if line.startswith(">>>>")]
    assert headings == [">>>> agedb_30 max :", ">>>> all max :", ">>>> sum max :", ">>>> latest :"]


@pytest.fixture
def files(tmp_path):
    histories = {
        "TT_b": {"lfw": [0.9, math.nan, 0.95], "agedb_30": [0.7, math.nan, 0.6], "loss": [3, 2, 1]},
        "TT_a": {"lfw": [0.8, 0.99], "agedb_30": [0.5, 0.5]},
    }
    for name, content in histories.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return [str(tmp_path / f"{name}.json") for name in histories]


def test_tables(files, capsys):
    best, own, total = choose_accuracy(files, skip_name_len=3)
    assert best == {
        "b": {"lfw": 0.9, "agedb_30": 0.7, "epoch": 0},
        "a": {"lfw": 0.8, "agedb_30": 0.5, "epoch": 0},
    }
    assert own["b"] == {"lfw": "0.9500,  2", "agedb_30": "0.7000,  0"}
    assert total["a"] == {"lfw": 0.99, "agedb_30": 0.5, "epoch": 1}
    latest = capsys.readouterr().out.split(">>>> latest :")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in latest.split("\n") if "|" in line]
    assert rows[0] == ["", "lfw", "agedb_30", "epoch"]
    assert rows[2:] == [["b", "0.95", "0.6", "3"], ["a", "0.99", "0.5", "2"]]


def test_order_by_the_metric_and_unknown_metric(files, capsys):
    assert list(choose_accuracy(files)[0]) == ["TT_b", "TT_a"]
    assert list(choose_accuracy(files, sort_metric=True)[0]) == ["TT_a", "TT_b"]
    best, _, _ = choose_accuracy(files, metric_key="nothing", key_picks=["agedb_30", "lfw"])
    assert [row["epoch"] for row in best.values()] == [2, 1]  # lfw, the last of the picks


def test_two_files_of_one_name_stay_two_rows(files, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "TT_a.json").write_text(json.dumps({"lfw": [0.5], "agedb_30": [0.5]}))
    assert len(choose_accuracy([*files, str(other / "TT_a.json")])[0]) == 3


def test_no_file_is_lost_where_the_skipped_letters_told_them_apart(tmp_path):
    paths = []
    for folder in ("one/a", "two/a"):
        (tmp_path / folder).mkdir(parents=True)
        for stem in ("AA_same_hist", "BB_same_hist"):
            path = tmp_path / folder / f"{stem}.json"
            path.write_text(json.dumps({"agedb_30": [len(paths) / 10]}))
            paths.append(path)
    best, own, total = choose_accuracy([*paths, paths[0]], skip_name_len=3)
    assert len(best) == len(own) == len(total) == 5
    assert [row["agedb_30"] for row in best.values()] == [0.0, 0.1, 0.2, 0.3, 0.0]
    two, _, _ = choose_accuracy(paths[:2], skip_name_len=3)
    assert list(two) == ["AA_same_hist", "BB_same_hist"]


def test_bad_files(tmp_path, files):
    with pytest.raises(RecordError):
        choose_accuracy([tmp_path / "missing.json"])
    (tmp_path / "none.json").write_text(json.dumps({"loss": [1.0]}))
    with pytest.raises(RecordError, match="no metric 'agedb_30'"):
        choose_accuracy([*files, tmp_path / "none.json"])
    with pytest.raises(RecordError, match="no evaluation set"):
        choose_accuracy([tmp_path / "none.json"])


def test_of_a_loss_the_lowest_is_best(tmp_path):
    path = tmp_path / "a_hist.json"
    path.write_text(json.dumps({"val_loss": [3.0, 1.0, 2.0], "lfw": [0.7, 0.8, 0.9]}))
    best, own, _ = choose_accuracy([path], metric_key="val_loss", key_picks=["lfw", "val_loss"])
    assert best["a_hist"] == {"lfw": 0.8, "val_loss": 1.0, "epoch": 1}
    assert own["a_hist"] == {"lfw": "0.9000,  2", "val_loss": "1.0000,  1"}
