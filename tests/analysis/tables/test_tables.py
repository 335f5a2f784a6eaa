"""Tables: what is chosen, groups of seeds, every format, the record of stages."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from makers import records, run

from analysis.frames import MEASURED, without_reruns
from analysis.sources import Options, load
from analysis.stats import mean_ci
from analysis.tables import summary
from analysis.tables.render import FORMATS, clock, render
from workbench.errors import InputError, RecordError

ID = {"id": "1" * 12, "study": "s"}


def ours(name, values, seed=0, identity="1", **settings):
    return run(name, values, facts={"id": identity * 12, "study": "s", "seed": seed}, settings=settings)


def test_a_table_of_runs_and_old_histories_says_which_convention_theirs_is():
    from analysis.tables.conventions import convention_note

    new = ours("new", {"lfw": [0.9]})
    old = run("old", {"lfw": [0.8], "loss": [1.0]}, facts={"origin": "/x/old_hist.json"})
    note = convention_note(records(new, old))
    assert note is not None and "the history old comes from" in note and "top_tenth" in note
    assert convention_note(records(new)) is None
    assert convention_note(records(old)) is None
    unlike = run("other", {"cfp_fp": [0.8]}, facts={"origin": "/x/other_hist.json"})
    assert convention_note(records(new, unlike)) is None  # no set is in both
    log = run("mx", {"lfw": [0.8]}, facts={"origin": "/x/mx.log"})
    said = convention_note(records(new, old, log))
    assert said is not None and said.startswith(note) and "mx was recorded by another program" in said


def test_columns_only_for_settings_that_differ_and_the_other_metrics_at_that_epoch():
    found = summary.summary(
        records(
            ours("a", {"lfw": [0.9, 0.8], "agedb_30": [0.5, 0.7], "loss": [2, 1]}, scale=16, size=512),
            ours(
                "b",
                {"lfw": [0.7, 0.6], "agedb_30": [0.6, 0.5], "loss": [3, 2]},
                identity="2",
                scale=64,
                size=512,
            ),
        )
    )
    assert list(found.columns) == ["run", "scale", "agedb_30", "epoch", "stage", "lfw", "loss"]
    assert found.values.tolist() == [["a", 16, 0.7, 2, 1, 0.8, 1], ["b", 64, 0.6, 1, 1, 0.7, 3]]


def test_a_stage_that_some_runs_lack_is_shown_by_its_loss_alone():
    stage = {
        f"stages.{n}.{key}": value for n in (1, 2) for key, value in (("loss", "ArcFace"), ("epochs", 5))
    }
    first = {name: value for name, value in stage.items() if name.startswith("stages.1")}
    found = summary.summary(
        records(ours("a", {"lfw": [1]}, **stage), ours("b", {"lfw": [1]}, identity="2", **first))
    )
    assert list(found.columns)[:2] == ["run", "stages.2.loss"] and "stages.2.epochs" not in found


def test_losses_with_and_without_the_regulariser_are_told_apart():
    a = run("a", {"loss": [2]}, facts={"loss_regulariser": "includes"})
    b, c = run("b", {"loss": [1]}, facts={"loss_regulariser": "excludes"}), run("c", {"loss": [1]})
    assert summary.summary(records(a, b, c))["regulariser"].tolist() == ["includes", "excludes", "unknown"]
    assert "regulariser" not in summary.summary(records(a, c))


def test_seeds_are_one_row_with_mean_and_interval():
    values = [0.90, 0.92, 0.97]
    runs = [ours(f"r{seed}", {"lfw": [value]}, seed=seed, scale=16) for seed, value in enumerate(values)]
    found = summary.summary(records(*runs, ours("other", {"lfw": [0.5]}, identity="2", scale=64)), "lfw")
    assert found["seeds"].tolist() == [3, 1]
    assert found["lfw"].iloc[0] == pytest.approx(np.mean(values))
    half = 4.302653 * np.std(values, ddof=1) / math.sqrt(3)
    assert found["lfw ±"].iloc[0] == pytest.approx(half, rel=1e-6) and math.isnan(found["lfw ±"].iloc[1])
    assert f"0.9300 ± {half:.4f}" in render(found)


def test_a_seed_that_is_repeated_is_no_second_seed():
    found = records(ours("a", {"lfw": [1]}), ours("b", {"lfw": [1]}), ours("c", {"lfw": [1]}, seed=1))
    assert summary.seed_groups(found.runs) == [[0, 2], [1]]
    assert summary.seed_groups(records(run("x", {}), run("y", {})).runs) == [[0], [1]]


def test_a_diverged_seed_does_not_vanish_in_the_mean():
    found = summary.summary(records(ours("a", {"lfw": [0.9]}), ours("b", {"lfw": [math.nan]}, seed=1)), "lfw")
    assert found["seeds"].tolist() == [2] and math.isnan(found["lfw"].iloc[0])


@pytest.mark.parametrize("count", [2, 3, 8, 11, 12, 30, 200])
def test_intervals_agree_with_scipy(count):
    stats = pytest.importorskip("scipy.stats")
    assert mean_ci.t_point(count - 1) == pytest.approx(stats.t.ppf(0.975, count - 1), rel=5e-6)
    values = np.random.default_rng(count).normal(size=count).tolist()
    mean, half = mean_ci.mean_and_interval(values)
    low, high = stats.t.interval(0.95, count - 1, np.mean(values), stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-4)


def test_of_several_values_in_an_epoch_the_one_at_the_same_step_is_shown():
    data = run("a", {})
    data.add("agedb_30", MEASURED, [1, 1], [0.9, 0.5], step=[10, 20])
    data.add("lfw", MEASURED, [1, 1], [0.7, 0.8], step=[10, 20])
    found = summary.summary(records(data))
    assert found[["agedb_30", "lfw"]].values.tolist() == [[0.9, 0.7]]


def test_time_speed_and_cost():
    data = ours("a", {"loss": [2, 1], "seconds": [10, 5]}, batch_size=32, **{"devices.count": 2})
    data.values.clear()
    data.facts["seconds"] = 3600.0
    data.add("loss", MEASURED, [1, 2], [2, 1], step=[100, 200])
    data.add("seconds", MEASURED, [1, 2], [10, 5], step=[100, 200])
    found = summary.summary(records(data)).iloc[0]
    assert found["images_per_second"] == pytest.approx((320 + 640) / 2) and found["device_hours"] == 2.0


def test_per_stage():
    data = ours("a", {})
    data.stages = [("soft", 2), ("margin", 2)]
    data.add("loss", MEASURED, [1, 2, 3, 4], [4, 3, 2, 1])
    data.add("seconds", MEASURED, [1, 2, 3, 4], [20, 10, 30, 5], step=[100, 200, 300, 400])
    found = summary.per_stage(records(data))
    assert found["epochs"].tolist() == ["1-2", "3-4"] and found["loss"].tolist() == [3, 1]
    assert found["first_epoch_seconds"].tolist() == [20, 30] and found["ms_per_step"].tolist() == [100, 50]


def test_formats():
    found = summary.summary(records(run("a_b", {"lfw": [0.98765]}), run("c", {"lfw": [0.5]})))
    assert "| a_b" in render(found) and "0.9877" in render(found)
    assert r"a\_b" in render(found, "latex") and r"\toprule" in render(found, "latex")
    assert "<td>a_b" in render(found, "html")
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert float(rows[0]["lfw"]) == 0.98765
    assert json.loads(render(found, "json"))[1] == {"run": "c", "lfw": 0.5, "epoch": 1, "stage": 1}
    with pytest.raises(InputError, match="markdown"):
        render(found, "markdwon")
    assert set(FORMATS) == {"markdown", "latex", "csv", "json", "html"}


@pytest.mark.parametrize(("seconds", "text"), [(48.4, "48s"), (725, "12m05"), (34863, "9h41")])
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_nothing_to_compare_is_refused():
    for call in (summary.summary, summary.per_stage):
        with pytest.raises(RecordError, match="no epochs"):
            call(records(run("a", {})))
    with pytest.raises(RecordError, match="did you mean"):
        summary.summary(records(run("a", {"lfw": [1.0]})), "lwf")


def test_real_runs(real_data):
    found = summary.summary(
        load(
            [real_data / "histories" / "subcenter_casia" / "*.json"],
            options=Options(stages=(5, 5, 10, 10, 20)),
        )
    )
    assert found["agedb_30"].round(4).tolist() == [0.8695, 0.8743, 0.8768]
    assert found["epoch"].tolist() == [37, 35, 32]  # 1-based; the published epochs are 0-based
    assert found["stage"].tolist() == [5, 5, 5]


def test_a_rerun_is_no_further_seed_and_is_left_out_of_whole_stores():
    first, second = ours("first", {"lfw": [0.9]}), ours("second", {"lfw": [0.7]}, seed=1)
    again = run("again", {"lfw": [0.9]}, facts={"id": "1" * 12, "study": "s", "seed": 0, "rerun": "first"})
    for found in (records(first, second, again), records(again, first, second)):
        grouped = [{found.runs["run"][n] for n in group} for group in summary.seed_groups(found.runs)]
        assert sorted(grouped, key=len) == [{"again"}, {"first", "second"}]
        assert set(without_reruns(found).runs["run"]) == {"first", "second"}
    assert list(without_reruns(records(again, second)).runs["run"]) == [
        "again",
        "second",
    ]  # its run is not here


def test_of_parts_of_several_classes_the_class_is_shown_and_what_runs_of_it_differ_in():
    losses = {
        "softmax": {"loss": "Softmax"},
        "arc": {"loss": "ArcFace", "loss.scale": 64, "loss.margin": 0.5},
        "arc32": {"loss": "ArcFace", "loss.scale": 32, "loss.margin": 0.5},
        "hard": {"loss": "Triplet", "loss.mining": "hard", "sampler": "Identities", "sampler.images": 4},
        "all": {"loss": "Triplet", "loss.mining": "all", "sampler": "Identities", "sampler.images": 4},
    }
    runs = [
        run(name, {"lfw": [0.9]}, settings=own, facts={"id": f"{number:012x}"})
        for number, (name, own) in enumerate(losses.items())
    ]
    shown = summary.summary(records(*runs), "lfw")
    assert list(shown.columns)[:6] == ["run", "loss", "scale", "mining", "sampler", "lfw"]
    shown = summary.summary(records(*runs[:2]), "lfw")
    assert list(shown.columns)[:3] == ["run", "loss", "lfw"]
    plain = run(
        "plain", {"lfw": [0.9]}, settings={"loss": "ArcFace", "loss.scale": 64}, facts={"id": "9" * 12}
    )
    shown = summary.summary(records(*runs[:2], plain), "lfw")
    assert list(shown.columns)[:4] == ["run", "loss", "margin", "lfw"], "one ArcFace has it, the other not"


def test_rows_stand_in_the_order_of_their_starts():
    times = {"b": 3.0, "c": 1.0, "a": 2.0, "old": None}
    made = records(
        *[
            run(name, {"lfw": [0.9]}, facts={"started": at and pd.Timestamp(at, unit="s", tz="UTC")})
            for name, at in times.items()
        ]
    )
    assert list(summary.summary(made.by_start(), "lfw")["run"]) == ["c", "a", "b", "old"]


def test_a_seed_among_the_settings_is_the_runs_own_and_no_column():
    made = [
        run(
            f"r{seed}",
            {"lfw": [0.9]},
            settings={"seed": seed, "rate": 0.1, "name": "x"},
            facts={"id": "1" * 12, "seed": seed, "name": "r"},
        )
        for seed in (0, 1)
    ]
    assert list(summary.summary(records(*made), "lfw").columns)[:3] == ["run", "seeds", "lfw"]
    found = records(*made).runs
    assert "setting.seed" not in found
    assert list(found["setting.name"]) == ["x", "x"], "says something else than the run's name"


def test_a_quick_run_is_no_seed_of_a_full_one():
    quick = ours("q", {"lfw": [1]}, seed=1)
    quick.facts["quick"] = True
    found = records(ours("a", {"lfw": [1]}), quick, ours("c", {"lfw": [1]}, seed=2))
    assert summary.seed_groups(found.runs) == [[0, 2], [1]]


def test_seeds_states_and_quick_runs_are_shown():
    killed, quick = ours("b", {"lfw": [1]}, seed=1), ours("q", {"lfw": [1]}, identity="2", size=2)
    killed.facts["status"], quick.facts["quick"] = "killed", True
    found = records(ours("a", {"lfw": [1]}), killed, quick)
    shown = summary.with_states(summary.summary(found, "lfw"), found.runs)
    assert shown[["seed", "status"]].values.tolist() == [["0, 1", "1 finished, 1 killed"], ["0", "finished"]]
    assert shown["quick"].fillna("").tolist() == ["", "quick"]
    only = found.only(["a"])
    assert "quick" not in summary.with_states(summary.summary(only, "lfw"), only.runs)


def test_losses_of_two_classes_are_told_apart_by_their_class():
    arc = ours("a", {"lfw": [1]}, **{"stages.1.loss": "ArcFace", "stages.1.loss.margin": 0.5})
    cos = ours("b", {"lfw": [1]}, identity="2", **{"stages.1.loss": "CosFace", "stages.1.loss.margin": 0.35})
    assert summary.summary(records(arc, cos), "lfw")["loss"].tolist() == ["ArcFace", "CosFace"]


def test_own_losses_with_two_sources_are_two_rows():
    one = {"stages.1.loss": "Mine", "stages.1.loss.code": "aa"}
    found = records(
        ours("first", {"lfw": [1]}, **one),
        ours("second", {"lfw": [2]}, seed=1, identity="2", **{**one, "stages.1.loss.code": "bb"}),
    )
    assert summary.summary(found, "lfw")["code"].tolist() == ["aa", "bb"]
