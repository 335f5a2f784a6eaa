"""The two frames: columns, stages, best values, one value an epoch, labels."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from makers import records, run

from analysis import frames
from analysis.frames import EPOCH_COLUMNS, MEASURED, RUN_COLUMNS, Note, Notes, best, build, concat, run_labels
from workbench.errors import RecordError


def test_columns_and_types():
    found = records(run("a", {"loss": [2, 1]}, settings={"scale": 64, "name": "x"}))
    assert list(found.epochs.columns) == list(EPOCH_COLUMNS)
    assert list(found.runs.columns[: len(RUN_COLUMNS)]) == list(RUN_COLUMNS)
    assert frames.setting_columns(found.runs) == ["scale", "setting.name"]
    assert found.epochs["step"].isna().all() and found.epochs["line"].isna().all()
    assert found.epochs["kind"].tolist() == [MEASURED] * 2


def test_stages_are_placed_from_the_first_epoch_on():
    data = run("a", {"loss": [5, 4, 3, 2, 1]}, first_epoch=81, stages=[("head", 2), ("all", 2)])
    rows = records(data).epochs
    assert rows["epoch"].tolist() == [81, 82, 83, 84, 85]
    assert rows["stage"].tolist() == [1, 1, 2, 2, 2]  # the last stage has no end
    assert rows["stage_epoch"].tolist() == [1, 2, 1, 2, 3]
    assert rows["stage_name"].tolist() == ["head", "head", "all", "all", "all"]


def test_best_is_the_first_and_never_non_finite():
    found = records(
        run("a", {"lfw": [0.9, math.nan, 0.95, 0.95, math.inf], "loss": [3, math.nan, 1, 1, -math.inf]}),
        run("b", {"lfw": [math.nan, math.nan]}),
    )
    rows = best(found.epochs, "lfw")
    assert rows[["run", "epoch", "value"]].values.tolist() == [["a", 3, 0.95]]
    assert best(found.epochs, "loss")["epoch"].tolist() == [3]
    with pytest.raises(RecordError, match="did you mean 'lfw'"):
        best(found.epochs, "lwf")


def test_a_peak_inside_an_epoch_counts_as_best():
    found = records(run("a", {"lfw": [0.9, 0.92], "lfw_peak": [0.95, 0.92]}))
    assert best(found.epochs, "lfw")[["epoch", "value"]].values.tolist() == [[1, 0.95]]


def test_per_epoch_takes_the_last_step():
    data = run("a", {})
    data.add("lfw", MEASURED, [1, 1, 2], [0.3, 0.1, 0.2], step=[20, 10, 30])
    rows = frames.per_epoch(records(data).epochs)
    assert rows["value"].tolist() == [0.3, 0.2]


def test_joining_keeps_categories_and_refuses_a_run_twice():
    a, b = records(run("a", {"loss": [1]})), records(run("b", {"lfw": [1]}, settings={"scale": 1}))
    both = concat([a, b])
    assert isinstance(both.epochs["metric"].dtype, pd.CategoricalDtype)
    assert both.runs["run"].tolist() == ["a", "b"] and len(both.epochs) == 2
    assert both.only(["b"]).epochs["metric"].tolist() == ["lfw"]
    with pytest.raises(RecordError, match="given twice"):
        concat([a, a])
    with pytest.raises(RecordError, match="two runs"):
        build([run("a", {}), run("a", {})])


def test_labels_from_differences_or_names():
    known = {"id": "1" * 12}
    ours = records(
        run("r1", {}, facts=known | {"seed": 0}, settings={"scale": 16, "size": 512}),
        run("r2", {}, facts=known | {"seed": 0}, settings={"scale": 64, "size": 512}),
    )
    assert run_labels(ours.runs) == {"r1": "scale=16", "r2": "scale=64"}
    mixed = records(run("old", {}), run("r1", {}, facts=known, settings={"scale": 16}))
    assert run_labels(mixed.runs) == {"old": "old", "r1": "r1"}


def test_names_of_the_users_own_stand_where_a_setting_has_only_its_path():
    def made(name: str, first: int, seed: int = 0, called: str = ""):
        settings = {"stages.1.epochs": first, "stages.2.epochs": 30 - first}
        return run(
            name, {}, facts={"id": f"{first:012x}", "seed": seed, "name": called or name}, settings=settings
        )

    assert run_labels(records(made("r1", 5, called="short"), made("r2", 20, called="long")).runs) == {
        "r1": "short",
        "r2": "long",
    }
    seeds = records(made("r1", 5, 0, "short"), made("r2", 5, 1, "short"), made("r3", 20, 0, "long"))
    assert list(run_labels(seeds.runs).values()) == ["short, seed 0", "short, seed 1", "long"]
    for names in (("a=5", "a=20"), ("same", "same")):  # a difference, and a name of two things
        found = run_labels(records(made("r1", 5, called=names[0]), made("r2", 20, called=names[1])).runs)
        assert found["r1"].startswith("stages.")


def test_remarks_are_gathered_and_counted():
    notes = Notes("f")
    for line in range(1, 1101):
        notes.add("cut", line)
    notes.add("whole file")
    first, second = notes.all()
    assert first.count == 1100 and len(first.lines) == 1000 and "1100 lines, 1, 2" in str(first)
    assert str(second) == "f: whole file"
    assert str(Note("f", "x", [3], 1)) == "f: x: line 3"


def test_no_runs_make_empty_frames():
    found = build([])
    assert found.runs.empty and found.epochs.empty and list(found.epochs.columns) == list(EPOCH_COLUMNS)


def test_a_run_that_has_just_begun_joins_others():
    """Its frame has no rows, so its text columns have categories of another type."""
    from analysis.frames import RunData, concat_epochs

    full = build(
        [RunData("a", values=[("lfw", "measured", "f", {"epoch": np.array([1]), "value": np.array([0.9])})])]
    )
    empty = build([RunData("b")])
    joined = concat_epochs([full.epochs, empty.epochs])
    assert list(joined["run"]) == ["a"]
    assert list(joined["metric"]) == ["lfw"]
