"""The watcher during a training: what it records, when it stops a run, when it must not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.forecast import ForecastStopping
from analysis.forecast.plans import Planned, planned
from analysis.forecast.population import population
from analysis.forecast.recorded_forecasts import recorded
from analysis.forecast.stop_rule import ALONE, LIMITS, WITH_OTHERS
from analysis.forecast.stopping import watch
from analysis.frames import MEASURED, RunData, build
from workbench.errors import InputError
from workbench.optimizers.schedules import Steps

NONE, ALL = [0.0] * len(LIMITS), [1.0] * len(LIMITS)
SUPPORTED = {"curves": 9, "families": 1, "wrong": NONE, "worst": NONE, "hopeless": ALL}
KNOWN = replace(population(), record={ALONE: SUPPORTED, WITH_OTHERS: SUPPORTED})
PLAN = Planned(40, (1,), (0.1,) * 40)


def curve(n: int, end: float) -> list[float]:
    return (end - 0.4 * np.exp(-np.arange(n) / 4) + 0.001 * np.sin(np.arange(n) * 2.3)).tolist()


def follow(
    watcher: ForecastStopping, end: float, epochs: int = 39
) -> tuple[list[dict[str, float]], int | None, str]:
    rows = []
    for n in range(1, epochs + 1):
        seen = watcher.observe({"lfw": curve(n, end)}, PLAN)
        rows.append(seen.metrics)
        if seen.stop:
            return rows, n, seen.stop
    return rows, None, ""


def test_forecasts_are_recorded_from_the_fourth_epoch_on() -> None:
    rows, stopped, _ = follow(ForecastStopping("lfw"), 0.9)
    assert stopped is None
    assert rows[:3] == [{}, {}, {}]
    assert set(rows[10]) == {"forecast.lfw", "forecast.lfw_low", "forecast.lfw_high"}
    assert rows[25]["forecast.lfw_low"] <= 0.9 <= rows[25]["forecast.lfw_high"]


def test_a_run_without_a_chance_is_stopped_after_its_grace_and_not_before() -> None:
    rows, stopped, why = follow(
        ForecastStopping("lfw", beat=0.97, stop_below=0.05, grace=12, patience=2, known=KNOWN), 0.8
    )
    assert stopped is not None
    assert stopped >= 14
    assert "ends above 0.97" in why
    assert rows[-1]["forecast.lfw_stop"] == 1.0
    assert rows[-1]["forecast.lfw_chance"] < 0.05
    assert "saves" in why


def test_a_run_that_may_reach_the_value_goes_on() -> None:
    rows, stopped, _ = follow(ForecastStopping("lfw", beat=0.88, stop_below=0.05, grace=5), 0.9)
    assert stopped is None
    assert all(row.get("forecast.lfw_stop", 0.0) == 0.0 for row in rows)


def test_no_forecast_never_stops_a_run() -> None:
    watcher = ForecastStopping("lfw", beat=0.99, stop_below=0.5, grace=0, patience=1, known=KNOWN)
    walk = (0.5 - 0.02 * np.cumsum(np.random.default_rng(4).choice([-1, 1], 40))).tolist()
    assert watcher.observe({"lfw": walk}, Planned(80, (1,), (0.1,) * 80)).stop is None
    assert watcher.observe({"lfw": [0.5] * 30}, PLAN).stop is None
    assert watcher.observe({"loss": [1.0]}, PLAN).metrics == {}


def test_the_runner_hands_in_its_plans() -> None:
    plan = SimpleNamespace(
        epochs=30,
        first_epoch=1,
        last_epoch=30,
        schedule=Steps(peak=0.1, factor=0.1, from_epochs=(21,)),
        schedule_offset=0.0,
        advances_schedule=True,
    )
    known = planned([plan])
    assert known.total == 30
    assert known.stages == (1,)
    assert known.rates[:20] == pytest.approx((0.1,) * 20)
    assert known.rates[20:] == pytest.approx((0.01,) * 10)
    metrics, stop = ForecastStopping("lfw").epoch({"lfw": curve(10, 0.9)}, {"plans": (plan,)})
    assert stop is None
    assert "forecast.lfw" in metrics


def test_impossible_thresholds_are_refused() -> None:
    with pytest.raises(InputError, match="value to beat"):
        ForecastStopping("lfw", stop_below=0.1)
    with pytest.raises(InputError, match="between 0 and 1"):
        ForecastStopping("lfw", beat=0.9, stop_below=5)


def test_recorded_forecasts_are_scored_later() -> None:
    rows, _, _ = follow(ForecastStopping("lfw", beat=0.85), 0.9)
    data = RunData(run="a", file="test", facts={"status": "finished"})
    data.add("lfw", MEASURED, range(1, 41), curve(40, 0.9))
    for name in rows[-1]:
        numbers = [n for n, row in enumerate(rows, 1) if name in row]
        data.add(name, MEASURED, numbers, [rows[n - 1][name] for n in numbers])
    found = recorded(build([data]), "lfw").iloc[0]
    final = curve(40, 0.9)[-1]
    result = np.array([row["forecast.lfw"] for row in rows if row])
    assert found["error"] == pytest.approx(np.abs(result - final).mean())
    assert found["forecasts"] == len(result)
    assert found["error"] < found["last_value_error"]
    chances = np.array([row["forecast.lfw_chance"] for row in rows if row])
    assert found["brier"] == pytest.approx(((chances - 1.0) ** 2).mean())


def test_a_line_of_words_makes_a_watcher() -> None:
    watcher = watch("agedb_30 beat=0.94 stop=0.05 grace=12")
    assert (watcher.metric, watcher.beat, watcher.stop_below, watcher.grace) == ("agedb_30", 0.94, 0.05, 12)
    assert watch("loss").beat is None
    for line in ("", "beat=0.9", "lfw best=0.9", "lfw beat=high", "lfw stop=0.1"):
        with pytest.raises(InputError):
            watch(line)
