"""Effects of settings: planted ones are found, their intervals are honest, what cannot be judged is said."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import effects
from analysis.figures import sweeps as figures
from analysis.figures.draw import save
from workbench.errors import InputError, RecordError
from workbench.tracking.sweeps import SweepRecord, TrialRequest, TrialRow

GRID = {"decay": [0.0, 1e-4], "smooth": [0.0, 0.1], "units": [16, 32, 64]}


def made(
    rows: list[dict[str, Any]], space: dict[str, Any], base: dict[str, Any] | None = None, lower: bool = False
) -> effects.Trials:
    """Return trials with the given settings and values, without any record behind them."""
    facts = {
        "name": "s",
        "study": "s",
        "objective": "loss" if lower else "acc",
        "space": space,
        "base": base or {},
    }
    frame = pd.DataFrame(
        [
            {"trial": f"{n:04d}", "std": np.nan, "epochs": 4, "run": f"r{n}", **row}
            for n, row in enumerate(rows)
        ]
    )
    return effects.Trials(SweepRecord("r", facts), frame, facts["objective"], 4, 0)


def grid(value: Any) -> effects.Trials:
    rows = [dict(zip(GRID, cells)) for cells in itertools.product(*GRID.values())]
    space = {name: {"kind": "Choice", "values": values} for name, values in GRID.items()}
    return made([{**row, "value": value(row)} for row in rows], space)


def row_of(frame: pd.DataFrame, setting: str, level: str) -> dict[str, Any]:
    found = frame[(frame["setting"] == setting) & (frame["level"] == level)]
    assert len(found) == 1
    return found.iloc[0].to_dict()


def test_a_grid_is_compared_in_pairs_as_a_paired_t_test_would():
    random = np.random.default_rng(1)
    noise = {cells: random.normal(0, 0.002) for cells in itertools.product(*GRID.values())}
    data = grid(lambda row: 0.9 + 0.02 * (row["smooth"] > 0) + noise[tuple(row.values())])
    found = row_of(effects.effects(data), "smooth", "0.1")
    frame = data.frame.sort_values(["decay", "units"])
    ours = frame[frame["smooth"] == 0.1]["value"].to_numpy()
    theirs = frame[frame["smooth"] == 0.0]["value"].to_numpy()
    test = stats.ttest_rel(ours, theirs)
    low, high = test.confidence_interval()
    assert found["effect"] == pytest.approx(np.mean(ours - theirs))
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert (found["count"], found["by"], found["verdict"]) == (6, "pairs", "better")
    assert row_of(effects.effects(data), "decay", "0.0001")["verdict"] == "indistinguishable"


def test_small_losses_are_better():
    random = np.random.default_rng(2)
    data = grid(lambda row: 1 - 0.5 * (row["units"] == 64) + random.normal(0, 0.01))
    data = made(
        data.frame.drop(columns=["trial", "std", "epochs", "run"]).to_dict("records"),
        data.record.facts["space"],
        lower=True,
    )
    assert row_of(effects.effects(data), "units", "64")["verdict"] == "better"


def test_random_trials_are_compared_by_a_model_that_takes_the_others_into_account():
    random = np.random.default_rng(3)
    rows = []
    for _ in range(60):
        rate, wide = float(np.exp(random.uniform(np.log(1e-3), 0))), bool(random.random() < 0.5)
        third = int(np.clip(np.log(rate / 1e-3) / np.log(1e3) * 3, 0, 2))
        rows.append(
            {
                "rate": rate,
                "wide": wide,
                "value": [0.5, 0.9, 0.6][third] + 0.05 * wide + random.normal(0, 0.01),
            }
        )
    space = {
        "rate": {"kind": "Float", "min": 1e-3, "max": 1.0, "step": None, "sampling": "log"},
        "wide": {"kind": "Boolean", "values": [False, True]},
    }
    found = effects.effects(made(rows, space))
    middle = row_of(found, "rate", "0.01 to 0.1")
    assert middle["by"] == "model"
    assert middle["low"] < 0.4 < middle["high"]
    assert row_of(found, "rate", "0.1 to 1")["low"] < 0.1 < row_of(found, "rate", "0.1 to 1")["high"]
    wide = row_of(found, "wide", "True")
    assert wide["low"] < 0.05 < wide["high"]
    assert wide["verdict"] == "better"


def test_the_interval_of_the_model_holds_the_truth_as_often_as_it_says():
    random, hits, all_ = np.random.default_rng(4), 0, 250
    space = {name: {"kind": "Choice", "values": [0, 1]} for name in "abc"}
    for _ in range(all_):
        rows = [
            {name: int(random.random() < 0.5) for name in "abc"} | {"value": 0.0, "extra": n}
            for n in range(14)
        ]
        for row in rows:
            row["value"] = 0.3 * row["a"] + 0.1 * row["b"] + random.normal(0, 0.05)
        data = made([{k: v for k, v in row.items() if k != "extra"} for row in rows], space)
        found = effects.Additive(data).compare("a", "1", "0")
        hits += found is not None and found.low <= 0.3 <= found.high
    assert 0.92 < hits / all_ < 0.98


def test_what_was_always_changed_together_cannot_be_judged():
    rows = [{"a": n % 2, "b": n % 2, "value": 0.1 * n} for n in range(12)]
    space = {name: {"kind": "Choice", "values": [0, 1]} for name in "ab"}
    found = effects.effects(made(rows, space))
    assert all(text.startswith("cannot be judged") for text in found["verdict"])
    rows = [{"a": 0, "b": n % 2, "value": float(n)} for n in range(6)]
    found = effects.effects(made(rows, space))
    assert row_of(found, "a", "0")["verdict"] == "cannot be judged: only 0 was tried"


def test_no_setting_of_pure_noise_is_called_better_too_often():
    calls, tables = 0, 100
    for seed in range(tables):
        random = np.random.default_rng(1000 + seed)
        found = effects.effects(grid(lambda row, random=random: random.normal(0.9, 0.01)))
        calls += any(verdict in ("better", "worse") for verdict in found["verdict"])
    assert calls / tables < 0.12


def test_ranges_are_cut_at_values_they_can_have_and_compared_with_the_third_of_the_base():
    space = {
        "units": {"kind": "Int", "min": 16, "max": 128, "step": 16, "sampling": "linear"},
        "depth": {"kind": "Int", "min": 1, "max": 12, "step": None, "sampling": "linear"},
        "rate": {"kind": "Float", "min": 0.0, "max": 0.9, "step": None, "sampling": "linear"},
    }
    rows = [
        {"units": 16 + 16 * (n % 8), "depth": 1 + n % 12, "rate": 0.9 * n / 47, "value": float(n)}
        for n in range(48)
    ]
    data = made(rows, space, base={"units": 64, "depth": 12, "rate": 0.1})
    found = {name: effects.levels(data, name) for name in space}
    assert found["units"][0] == ["16 to 48", "64 to 80", "96 to 128"]
    assert found["depth"][0] == ["1 to 4", "5 to 8", "9 to 12"]
    assert found["rate"][0] == ["0 to 0.3", "0.3 to 0.6", "0.6 to 0.9"]
    for name in ("units", "depth"):
        column = found[name][1]
        for value, level in zip(data.frame[name], column):
            low, high = map(int, level.split(" to "))
            assert low <= value <= high
    against = effects.effects(data).groupby("setting")["against"].first().to_dict()
    assert against == {"units": "64 to 80", "depth": "9 to 12", "rate": "0 to 0.3"}


def test_an_interval_without_0_that_does_not_hold_among_all_comparisons_is_explained():
    from analysis.commands.effects import words

    random = np.random.default_rng(8)
    noise = {cells: random.normal(0, 0.004) for cells in itertools.product(*GRID.values())}
    for gain, explained in ((0.004, True), (0.5, False)):
        data = grid(lambda row, gain=gain: 0.9 + gain * (row["smooth"] > 0) + noise[tuple(row.values())])
        found = effects.effects(data)
        row = row_of(found, "smooth", "0.1")
        assert row["low"] > 0
        assert (row["verdict"] == "indistinguishable") is explained
        said = [line for line in words(data, found, []) if line.startswith("An interval without 0")]
        assert len(said) == explained


def test_lines_read_as_a_sentence():
    data = grid(
        lambda row: (
            0.9
            + 0.004 * (row["smooth"] > 0)
            + 0.001 * row["units"] / 64
            + 0.002 * row["decay"] * 1e4 * (row["smooth"] > 0)
        )
    )
    line = next(text for text in effects.lines(data, effects.effects(data)) if text.startswith("smooth"))
    assert line.startswith("smooth 0.1 against 0: +0.0050 (+0.0039 to +0.0061), 6 pairs")


def test_trials_are_compared_at_an_epoch_that_all_reached():
    from analysis.frames import RunData, build

    runs = []
    for name, values in {"r0": [0.1, 0.5, 0.9], "r1": [0.3, np.nan]}.items():
        data = RunData(name)
        data.add("acc", "measured", np.arange(1, len(values) + 1), values)
        runs.append(data)
    records = build(runs)
    rows = tuple(
        TrialRow(f"000{n}", TrialRequest({"a": n}, (run,), epochs, f"000{n}"), "completed", 0.0)
        for n, (run, epochs) in enumerate([("r0", 3), ("r1", 2)])
    )
    record = SweepRecord("r", {"name": "s", "objective": "acc", "space": {"a": {"values": [0, 1]}}}, rows)
    data = effects.trials(record, records)
    assert (data.epoch, data.frame["value"].tolist()) == (2, [0.5, 0.3])
    assert effects.trials(record, records, epoch=3).frame["value"].tolist() == [0.9]
    with pytest.raises(RecordError, match="no trial reached epoch 4"):
        effects.trials(record, records, epoch=4)
    with pytest.raises(RecordError, match="did you mean 'acc'"):
        effects.trials(record, records, "accc")


def test_pictures_are_drawn_also_where_settings_do_not_apply(tmp_path: Path):
    data = grid(lambda row: row["units"] / 64 + row["smooth"])
    data.frame.loc[:3, "smooth"] = None
    for number, figure in enumerate(
        (figures.slices(data), figures.parallel(data), figures.heat(data, "units", "decay"))
    ):
        assert save(figure, tmp_path / f"{number}.png").stat().st_size > 5000
    means, counts = figures.table_of(data, "units", "decay")
    assert means.shape == (2, 3)
    assert counts.to_numpy().sum() == 12
    with pytest.raises(InputError, match="did you mean 'units'"):
        figures.heat(data, "unitss", "decay")
    with pytest.raises(InputError, match="expected two settings"):
        figures.heat(data, "units", "units")
