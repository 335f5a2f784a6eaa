"""Rows keep their meaning through JSON, whatever their numbers are."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.tracking.history import history, history_text
from workbench.tracking.rows import (
    CheckpointRecord,
    EndRecord,
    EpochRecord,
    StartRecord,
    from_json,
    new_run_name,
    plain,
    to_json,
)

ROWS = [
    StartRecord(
        run="20260131T235959Z-0a1b2c3d",
        study="margin",
        parameters={"embedding.dropout": 0.4, "flip": True, "batch_size": 400, "loss": "ArcFace"},
        domains={"embedding.dropout": {"min": 0.0, "max": 0.9}},
        stages=({"name": "softmax", "epochs": 3},),
        files=("spec.py",),
    ),
    EpochRecord(
        stage=2, stage_epoch=1, epoch=4, step=40, metrics={"loss": 0.1 + 0.2, "lfw": 0.5}, seconds=1.5
    ),
    CheckpointRecord(epoch=4, file="4.npz", digest="ab"),
    EndRecord(status="failed", reason="the loss is nan", final_epoch=4),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_survives_json_unchanged(row):
    text = json.dumps(to_json(row), allow_nan=False)
    assert from_json(json.loads(text)) == row


def test_non_finite_numbers_are_texts_in_json_and_numbers_again():
    row = EpochRecord(
        stage=1,
        stage_epoch=1,
        epoch=1,
        step=1,
        metrics={"a": math.nan, "b": math.inf, "c": -math.inf},
        seconds=1,
    )
    written = to_json(row)
    assert written["metrics"] == {"a": "nan", "b": "inf", "c": "-inf"}
    back = from_json(written).metrics
    assert math.isnan(back["a"])
    assert (back["b"], back["c"]) == (math.inf, -math.inf)


def test_numpy_numbers_become_plain_ones():
    value = plain({"a": np.float32(0.5), "b": np.int64(3), "c": (np.nan,), "d": np.bool_(True)})
    assert value == {"a": 0.5, "b": 3, "c": ["nan"], "d": True}
    assert type(value["d"]) is bool


def test_a_field_of_a_later_version_is_passed_over_and_a_missing_one_refused():
    row = to_json(ROWS[2])
    assert from_json({**row, "colour": "blue"}) == ROWS[2]
    del row["digest"]
    with pytest.raises(RecordError, match="digest"):
        from_json(row)
    with pytest.raises(RecordError, match="unknown kind"):
        from_json({"kind": "note"})


@pytest.mark.parametrize("wrong", [{"epoch": 0}, {"stage": 0}, {"attempt": -1}])
def test_impossible_numbers_are_refused(wrong):
    right = {"stage": 1, "stage_epoch": 1, "epoch": 1, "step": 1, "metrics": {}, "seconds": 1.0}
    with pytest.raises(RecordError, match="expected 1 or more"):
        EpochRecord(**{**right, **wrong})


def test_an_unknown_status_is_refused_with_the_right_ones():
    with pytest.raises(RecordError, match="finished"):
        EndRecord(status="done")


def test_run_names_carry_utc_time_and_differ():
    assert new_run_name(0.0).startswith("19700101T000000Z-")
    names = {new_run_name(1.0) for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", name) for name in names)


def test_history_has_one_list_a_metric_in_the_form_of_the_field(real_data):
    rows = [
        EpochRecord(stage=1, stage_epoch=1, epoch=1, step=1, metrics={"loss": 2.0}, seconds=1),
        EpochRecord(stage=1, stage_epoch=2, epoch=2, step=2, metrics={"loss": 1.0, "lfw": 0.9}, seconds=1),
    ]
    assert history(rows) == {"loss": [2.0, 1.0], "lfw": [0.9]}
    real = json.loads((real_data / "histories/subcenter_casia/base_topk1_hist.json").read_text())
    ours = json.loads(history_text(rows))
    assert {type(value) for value in real.values()} == {type(value) for value in ours.values()} == {list}
