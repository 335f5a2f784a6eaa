"""How good the forecaster is, on real curves that lie beside the project, and how quick.

`python tests/benchmarks/bench_forecast.py` prints ratios to "last value" with their targets. With
`--document FILE` it writes the whole score tables between the marks in that file (docs/forecast.md).

The shipped settings were frozen by a commit before this scoring. As a second, stricter reading, "nested" rows
choose settings among neighbours of the shipped ones anew for each of five folds, looking at the
other folds only, and score the fold with that choice and the other folds as prior.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from forecast_data import cifar10, folder, histories, last_stages  # noqa: E402
from paired import Row, compare_measured, table  # noqa: E402

from analysis.forecast import backtest as scoring  # noqa: E402
from analysis.forecast.cross_run_prior import CrossRunPrior  # noqa: E402
from analysis.forecast.curve import Curve  # noqa: E402
from analysis.forecast.forecaster import forecast  # noqa: E402
from analysis.forecast.settings import DEFAULT, Settings  # noqa: E402

FOLDS = 5
START, END = "<!-- scores: written by bench_forecast.py --document -->", "<!-- end of scores -->"
NEIGHBOURS = [
    replace(DEFAULT, level_share=level, recency=recency, border_weight=border, width=width)
    for level, recency, border, width in itertools.product(
        (0.5, 0.7, 0.9), (0.5, 1.0, 2.0), (0.3, 0.5), (0.7, 0.8, 0.9)
    )
]
METRICS = ("agedb_30", "cfp_fp", "lfw")


def sets() -> dict[str, list[Curve]]:
    """Return the data sets by name; none where the data is absent."""
    data = folder()
    if data is None:
        return {}
    of_histories = {f"histories, {name}": histories(data, name) for name in METRICS}
    return {
        "cifar10_cnn": cifar10(data),
        **of_histories,
        "histories, loss of the last stage": last_stages(data),
    }


def scores(found: dict[str, list[Curve]]) -> dict[str, list[scoring.Score]]:
    """Return the records of all methods on all data sets."""
    return {name: scoring.score(curves) for name, curves in found.items()}


def rows() -> list[Row]:
    """Return the figures held against the targets."""
    found = sets()
    if not found:
        return [
            Row("forecast: real curves are absent (WORKBENCH_TEST_DATA)", float("nan"), unit="")
        ] + _speed()
    made = [row for name, records in scores(found).items() for row in _against_targets(name, records)]
    return made + _nested("cifar10_cnn", found["cifar10_cnn"]) + _speed()


def _against_targets(name: str, records: Sequence[scoring.Score]) -> list[Row]:
    made = []
    by = {(row.share, row.method): row for row in records}
    for share in scoring.SHARES:
        ours, alone = by[share, scoring.WITH], by[share, scoring.WITHOUT]
        by_hand = min(by[share, method].ratio for method in scoring.CLASSIC)
        half = share == 0.5
        where = f"{name} from {share:.0%}"
        made += [
            Row(f"{where}: with prior / last value", ours.ratio, at_most=0.7 if half else 1.05),
            Row(f"{where}: no prior / last value", alone.ratio, at_most=1.0 if half else 1.05),
            Row(f"{where}: no prior / best hand method", alone.ratio / by_hand, at_most=1.0),
        ]
        if name == "cifar10_cnn":
            for label, row in (("with prior", ours), ("no prior", alone)):
                made.append(
                    Row(f"{where}: 80 % interval, {label}, least", row.held80 or 0.0, at_least=0.75, unit="")
                )
                made.append(
                    Row(f"{where}: 80 % interval, {label}, most", row.held80 or 0.0, at_most=0.88, unit="")
                )
    return made


def _nested(name: str, curves: list[Curve]) -> list[Row]:
    made, fold = [], np.arange(len(curves)) % FOLDS
    for share in scoring.SHARES:
        missed, held = _neighbours(curves, share)
        last = np.array([abs(curve.values[_seen(curve, share) - 1] - curve.values[-1]) for curve in curves])
        alone, within, prior, within_prior = [], [], [], []
        for k in range(FOLDS):
            inside = fold != k
            cost = missed[:, inside].mean(1) / last[inside].mean() + 0.2 * np.abs(
                held[:, inside].mean(1) - 0.8
            )
            chosen = int(np.argmin(cost))
            alone += missed[chosen, ~inside].tolist()
            within += held[chosen, ~inside].tolist()
            group = CrossRunPrior(
                [curve for curve, here in zip(curves, inside, strict=True) if here], NEIGHBOURS[chosen]
            )
            for curve in (curve for curve, here in zip(curves, inside, strict=True) if not here):
                error, inner = _one(curve, share, NEIGHBOURS[chosen], group)
                prior.append(error)
                within_prior.append(inner)
        where, half = f"{name} from {share:.0%}, nested folds", share == 0.5
        note = f"80 % intervals held {np.mean(within):.0%}"
        made.append(
            Row(
                f"{where}: no prior / last value",
                np.mean(alone) / last.mean(),
                at_most=1.0 if half else 1.05,
                note=note,
            )
        )
        note = f"80 % intervals held {np.mean(within_prior):.0%}"
        made.append(
            Row(
                f"{where}: other folds as prior / last value",
                np.mean(prior) / last.mean(),
                at_most=0.7 if half else 1.05,
                note=note,
            )
        )
    return made


def _neighbours(curves: list[Curve], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return errors of the final value and whether intervals held: (settings, curves)."""
    found = np.array([[_one(curve, share, settings, ()) for curve in curves] for settings in NEIGHBOURS])
    return found[..., 0], found[..., 1]


def _seen(curve: Curve, share: float) -> int:
    return round(share * len(curve.values))


def _one(
    curve: Curve, share: float, settings: Settings, group: CrossRunPrior | tuple[()]
) -> tuple[float, bool]:
    told = forecast(curve.until(curve.first + _seen(curve, share) - 1), curve.last, group, settings)
    final = curve.values[-1]
    guess = told.median[-1] if told.known else curve.values[_seen(curve, share) - 1]
    low, high = told.interval(0.8) if told.known else ([guess], [guess])
    return abs(guess - final), bool(low[-1] <= final <= high[-1])


def _speed() -> list[Row]:
    from scipy.optimize import curve_fit

    x = np.arange(100.0)
    noise = np.random.default_rng(0).normal(size=100) * 0.004
    y = 0.6 * np.exp(-0.07 * x) + 0.2 + noise
    plain = Curve(metric="val_error", values=y.tolist())
    steps = replace(plain, rates=np.where(np.arange(140) < 60, 0.1, 0.01).tolist())

    def single() -> None:
        curve_fit(lambda x, a, b, c: a * np.exp(-b * x) + c, x, y, p0=(y[0] - y[-1], 0.02, y[-1]))

    note = "100 epochs seen, 40 ahead"
    curves = [replace(plain, values=(y + 0.001 * k).tolist()) for k in range(100)]
    thousand = 10 * _processor(lambda: [forecast(curve, 140) for curve in curves], 1)
    note += ", processor time"
    made = [Row("1,000 forecasts", thousand, at_most=60, unit="s", note=f"{note}, ten times a hundred")]
    for name, curve in (("a forecast", plain), ("a forecast with a learning-rate schedule", steps)):
        ours = partial(_processor, partial(forecast, curve, 140), 5)
        ratio = compare_measured(ours, partial(_processor, single, 5), 15)
        made.append(Row(f"{name} / one fit of a*exp(-b*x)+c", ratio, at_most=60, note=note))
    return made


def _processor(action: Callable[[], object], number: int) -> float:
    """Return the processor time of `number` calls, seconds: a busy machine does not change it much."""
    start = time.process_time()
    for _ in range(number):
        action()
    return time.process_time() - start


def document(path: Path) -> None:
    """Write the score tables and the nested folds between the marks in a Markdown file."""
    found = sets()
    told = scores(found)
    nested = table(_nested("cifar10_cnn", found["cifar10_cnn"]))
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    parts = [
        f"\n**{name}** ({records[0].curves} curves)\n\n{scoring.table(records)}\n"
        for name, records in told.items()
    ]
    parts.append(f"\n**Settings chosen anew inside each fold**\n\n{nested}\n")
    path.write_text(before + START + "\n" + "".join(parts) + "\n" + END + after, encoding="utf-8")


def main() -> None:
    """Print the table of figures, with `--json` as one line; with `--document` write the score tables instead."""
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
