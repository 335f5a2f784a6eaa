"""How good the forecaster is on families that it has not seen, and how quick.

`python tests/benchmarks/bench_forecast.py` prints the figures with their targets, on a sample of each family that is always
the same one; with `--document FILE` it scores all curves and writes the tables by family between the marks in that
file (docs/forecast_scores.md). Settings, networks and factors were frozen by a commit before. Every source of curves
is scored by networks that have not seen it (`forecast_families`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

# read when NumPy is imported: the workers fill the cores by themselves
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from forecast_data import families, folder  # noqa: E402
from forecast_families import (  # noqa: E402
    OTHERS,
    SAMPLE,
    by_family,
    no_forecasts,
    reachable,
    simple_errors,
    trials,
    widths,
)
from paired import Row, table  # noqa: E402

from analysis.forecast.curve import Curve  # noqa: E402
from analysis.forecast.forecaster import forecast  # noqa: E402
from analysis.forecast.population import population  # noqa: E402
from analysis.forecast.stop_rule import ALONE, LIMITS, PRICE, WITH_OTHERS, supported_limits  # noqa: E402

START, END = "<!-- scores: written by bench_forecast.py --document -->", "<!-- end of scores -->"
HALF, DOZEN = 0.5, 12


def rows() -> list[Row]:
    """Return the figures held against the targets."""
    data = folder()
    if data is None:
        absent = Row("forecast: real curves are absent (WORKBENCH_TEST_DATA)", float("nan"), unit="")
        return [absent, *_stops(), *_speed()]
    found = trials(families(data), SAMPLE)
    scores = by_family(found)
    made = [row for count in (0, *OTHERS) for row in _intervals(found, scores, count)]
    return [*made, *_errors(scores), *_simple(found), *_stops(), *_verdicts(found), *_speed()]


def _intervals(found: pd.DataFrame, scores: pd.DataFrame, count: int) -> list[Row]:
    made = []
    part, result = scores[scores["others"] == count], found[found["others"] == count]
    who = f"{count} others" if count else "alone"
    for share, group in part.groupby("share"):
        for column, low, high in (("coverage80", 0.75, 0.9), ("coverage50", 0.42, 0.6)):
            held = group[column]
            name = f"{who} from {share:.0%}: {column.removeprefix('coverage')} % interval"
            note = (
                f"least {held.min():.0%}, {int((held < low).sum())} of {len(held)} families below {low:.0%}"
            )
            made.append(
                Row(f"{name} holds, mean of families", float(held.mean()), at_least=low, unit="", note=note)
            )
            inside = float(held.between(low, high).mean())
            common, most = reachable(
                result[result["share"] == share], int(column.removeprefix("coverage")) / 100, low, high
            )
            note = f"{common:.0%} of the spread is a family's own: a forecaster right over all of them has {most:.0%}"
            name = f"{name}: families from {low:.0%} to {high:.0%}"
            made.append(Row(name, inside, at_least=1.0, unit="", note=note))
    return made


def _errors(scores: pd.DataFrame) -> list[Row]:
    half = scores[scores["share"] == HALF]
    alone, dozen = half[half["others"] == 0], half[half["others"] == DOZEN]
    made = []
    for name, group, at_most in (("alone", alone, 0.75), ("a dozen others", dozen, 0.55)):
        worst = group.loc[group["ratio"].idxmax()]
        note = f"worst: {worst['family']}{'' if worst['rates'] else ' without rates'}"
        over = int((group["ratio"] > 1.05).sum())
        made.append(
            Row(
                f"{name} from 50%: error / last value's, mean of families",
                float(group["ratio"].mean()),
                at_most=at_most,
            )
        )
        most = float(group["ratio"].max())
        note = f"{note}; {over} of {len(group)} families above 1.05"
        made.append(
            Row(f"{name} from 50%: error / last value's, worst family", most, at_most=1.05, note=note)
        )
    return made


def _simple(found: pd.DataFrame) -> list[Row]:
    errors = simple_errors(found, HALF)
    best = min((name for name in errors if name != "this forecaster"), key=errors.__getitem__)
    note = "over the last value's: " + ", ".join(f"{name} {value:.2f}" for name, value in errors.items())
    ratio = errors["this forecaster"] / errors[best]
    return [Row("alone from 50%: error / best simple method's", ratio, at_most=1.0, note=note)]


def _stops() -> list[Row]:
    made = []
    for kind in (ALONE, WITH_OTHERS):
        record = population().record.get(kind)
        if record is None:
            continue
        limits = supported_limits(record)
        place = LIMITS.index(limits[-1]) if limits else 0
        note = f"worst family {record['worst'][place]:.0%}; {record['curves']} replays of {record['families']} families"
        note = (
            f"{note}; below a chance of {LIMITS[place]:.2%}" if limits else f"{note}; so nothing is stopped"
        )
        lost = record["wrong"][place] if limits else 0.0
        made.append(Row(f"stopping {kind}: successes lost", lost, at_most=PRICE, unit="", note=note))
        if limits:
            ended = record["hopeless"][place]
            made.append(Row(f"stopping {kind}: hopeless runs ended by half", ended, at_least=0.3, unit=""))
    return made


def _verdicts(found: pd.DataFrame) -> list[Row]:
    right, count = no_forecasts(found)
    alone = found[found["others"] == 0]
    note = f"of {count}, {count / len(alone):.0%} of all forecasts"
    made = [
        Row(
            "'no forecast' is right: the last value no worse than the fits",
            right,
            at_least=0.7,
            unit="",
            note=note,
        )
    ]
    width = widths(found)
    narrowest = min((name for name in width if name != "this forecaster"), key=width.__getitem__)
    note = ", ".join(f"{name} {value:.2f}" for name, value in width.items())
    ratio = width["this forecaster"] / width[narrowest]
    return [
        *made,
        Row("width of 80 % / narrowest simple method's, calibrated alike", ratio, at_most=1.3, note=note),
    ]


def _speed() -> list[Row]:
    x = np.arange(140.0)
    noise = 0.004 * np.random.default_rng(0).normal(size=140)
    y = 0.6 * np.exp(-0.07 * x) + 0.2 + noise
    plain = Curve(metric="val_error", values=y[:100].tolist())
    steps = replace(plain, rates=np.where(x < 60, 0.1, 0.01).tolist())
    others = [
        Curve(metric="val_error", values=(y + 0.001 * k).tolist(), finished=True, run=f"other {k}")
        for k in range(200)
    ]
    note = "100 epochs seen, 40 ahead, processor time"
    made = []
    for name, curve in (("a forecast alone", plain), ("a forecast with a learning-rate schedule", steps)):
        seconds = min(_processor(partial(forecast, curve, 140), 5) for _ in range(5)) / 5
        made.append(Row(name, 1000 * seconds, at_most=30, unit="ms", note=note))
    seconds = min(_processor(partial(forecast, plain, 140, others), 1) for _ in range(3))
    return [*made, Row("a forecast with 200 others", seconds, at_most=0.4, unit="s", note=note)]


def _processor(action: Callable[[], object], number: int) -> float:
    """Return the processor time of `number` calls, seconds: a busy machine does not change it much."""
    start = time.process_time()
    for _ in range(number):
        action()
    return time.process_time() - start


def document(path: Path) -> None:
    """Write the tables by family between the marks in a Markdown file."""
    data = folder()
    if data is None:
        raise SystemExit("the real curves are absent (WORKBENCH_TEST_DATA)")
    found = trials(families(data))
    scores = by_family(found)
    parts = [_table(scores, count) for count in (0, *OTHERS)]
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    intervals = [row for count in (0, *OTHERS) for row in _intervals(found, scores, count)]
    summary = table([*intervals, *_errors(scores), *_simple(found), *_stops(), *_verdicts(found)])
    path.write_text(
        f"{before}{START}\n\n{summary}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}", encoding="utf-8"
    )


def _table(scores: pd.DataFrame, count: int) -> str:
    """Return one line a family: error over the last value's, and how often both intervals held, at three shares."""
    part = scores[scores["others"] == count]
    head = "alone" if not count else f"with {count} other runs of the family as prior"
    lines = [
        f"**{head[0].upper()}{head[1:]}**",
        "",
        "| family | rates | curves | error / last value's at 25, 50, 75 % | 80 % coverage | 50 % coverage |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (name, rates), group in part.groupby(["family", "rates"], sort=False):
        by = group.sort_values("share")
        ratio = " ".join(f"{value:.2f}" for value in by["ratio"])
        held = [" ".join(f"{value:.0%}" for value in by[column]) for column in ("coverage80", "coverage50")]
        known = "known" if rates else "not known"
        lines.append(f"| {name} | {known} | {by['curves'].iloc[0]} | {ratio} | {held[0]} | {held[1]} |")
    means = part.groupby("share")[["ratio", "coverage80", "coverage50"]].mean()
    ratio = " ".join(f"{value:.2f}" for value in means["ratio"])
    held = [" ".join(f"{value:.0%}" for value in means[column]) for column in ("coverage80", "coverage50")]
    return "\n".join([*lines, f"| mean of families | | | {ratio} | {held[0]} | {held[1]} |"])


def main() -> None:
    """Print the table of figures, with `--json` as one line; with `--document` write the tables by family instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--document", type=Path)
    given = parser.parse_args()
    if given.document:
        document(given.document)
        return
    measured = rows()
    print(json.dumps([asdict(row) for row in measured]) if given.json else table(measured))


if __name__ == "__main__":
    main()
