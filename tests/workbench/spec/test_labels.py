"""Labels from differences: minimal, readable, stable, and never the same for two runs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.spec.labels import differing, distinguishing, labels, minimal_settings, short_names, value_text

BASE = {
    "backbone": "MobileNet",
    "embedding.dropout": 0.4,
    "stages.1.loss.scale": 16,
    "stages.2.loss.scale": 64,
    "label_smoothing": 0.0,
    "weight_decay": 5e-4,
    "seed": 0,
}


def but(**changes: object) -> dict[str, object]:
    return {**BASE, **{key.replace("__", "."): value for key, value in changes.items()}}


def test_settings_that_all_runs_share_are_dropped():
    assert distinguishing([BASE, but(label_smoothing=0.1)]) == [
        {"label_smoothing": 0.0},
        {"label_smoothing": 0.1},
    ]
    assert labels([BASE, but(label_smoothing=0.1)]) == ["label_smoothing=0", "label_smoothing=0.1"]


def test_the_smallest_set_is_chosen():
    runs = [BASE, but(label_smoothing=0.1, weight_decay=1e-4), but(label_smoothing=0.2, weight_decay=1e-4)]
    assert minimal_settings(runs) == ["label_smoothing"]


def test_a_short_readable_value_is_preferred_to_a_long_one():
    runs = [{"path": "/a/long/place", "scale": 1}, {"path": "/another/long/place", "scale": 2}]
    assert labels(runs) == ["scale=1", "scale=2"]


def test_names_are_shortened_only_where_unambiguous():
    assert labels([BASE, but(embedding__dropout=0.0)]) == ["dropout=0.4", "dropout=0"]
    assert labels([BASE, but(stages__1__loss__scale=32)])[1] == "stages.1.loss.scale=32"
    assert short_names(["weight_decay.value"], ["weight_decay.value"]) == {
        "weight_decay.value": "weight_decay.value"
    }


def test_a_missing_setting_is_off_and_a_word_stands_alone():
    plain = {key: value for key, value in BASE.items() if key != "weight_decay"}
    assert labels([BASE, plain]) == ["weight_decay=0.0005", "weight_decay=off"]
    assert labels([BASE, but(backbone="ResNet34")]) == ["MobileNet", "ResNet34"]


def test_a_setting_that_all_runs_have_is_preferred_to_stages_that_others_lack():
    short = {"stages.1.train": "all", "stages.2.train": "all"}
    long = {"stages.1.train": "all", "stages.2.train": "head", "stages.3.train": "all"}
    assert labels([long, short]) == ["stages.2.train=head", "stages.2.train=all"]


def test_runs_that_differ_in_nothing_get_seed_or_name():
    assert labels([BASE, but(seed=1)]) == ["seed 0", "seed 1"]
    assert labels([BASE, BASE], names=["monday", "tuesday"]) == ["monday", "tuesday"]
    assert labels([BASE, BASE]) == ["#1", "#2"]
    assert labels([BASE, BASE], names=["same", "same"]) == ["same #1", "same #2"]
    assert labels([BASE], names=["only"]) == ["only"]
    assert labels([]) == [] and distinguishing([]) == []


def test_seeds_separate_only_runs_equal_otherwise():
    runs = [BASE, but(seed=1), but(label_smoothing=0.1, seed=2)]
    assert labels(runs) == ["label_smoothing=0, seed 0", "label_smoothing=0, seed 1", "label_smoothing=0.1"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "off"), (0.1, "0.1"), (5e-5, "5e-05"), (1 / 3, repr(1 / 3)), (True, "true"), ((1, 2), "1+2")],
)
def test_value_text(value, text):
    assert value_text(value) == text


RUNS = st.lists(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2), max_size=5), min_size=1, max_size=7
)


@given(RUNS)
def test_labels_are_all_different_and_the_set_is_minimal(runs):
    assert len(set(labels(runs))) == len(runs)
    keys = differing(runs)

    def separated(names):
        return len({tuple(run.get(name) for name in names) for run in runs})

    chosen = minimal_settings(runs)
    assert separated(chosen) == separated(keys)
    # the oracle: no smaller set of any settings, tried one by one, separates as many
    if chosen and len(chosen) <= 3:
        smaller = itertools.combinations(keys, len(chosen) - 1)
        assert all(separated(names) < separated(keys) for names in smaller)


def test_many_settings_still_separate():
    runs = [{f"s{bit}": (number >> bit) & 1 for bit in range(6)} for number in range(64)]
    runs = [{**run, **{f"t{index}": run["s0"] for index in range(40)}} for run in runs]
    assert len(set(labels(runs))) == 64
    assert len(minimal_settings(runs)) == 6


def test_a_setting_of_two_classes_is_never_shown_without_the_class():
    arc = {"stages.1.loss": "ArcFace", "stages.1.loss.margin": 0.5, "seed": 0}
    cos = {"stages.1.loss": "CosFace", "stages.1.loss.margin": 0.35, "seed": 0}
    assert labels([arc, cos]) == ["ArcFace", "CosFace"]
    steep = {**arc, "stages.1.loss.margin": 0.3}
    assert labels([arc, steep, cos]) == ["ArcFace, margin=0.5", "ArcFace, margin=0.3", "CosFace, margin=0.35"]
    assert labels([arc, steep]) == ["margin=0.5", "margin=0.3"]


def test_classes_stand_with_their_settings_where_settings_are_many():
    runs = [
        {
            "optimizer": "SGD" if number % 2 else "Adam",
            "optimizer.beta": number,
            **{f"free{n}": number * n for n in range(30)},
        }
        for number in range(40)
    ]
    for name in minimal_settings([{k: v for k, v in run.items() if "free" not in k} for run in runs]):
        assert name in ("optimizer", "optimizer.beta")
    assert len(set(labels(runs))) == len(runs)
