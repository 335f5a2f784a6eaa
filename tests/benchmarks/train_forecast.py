"""Train the networks of `analysis/forecast/population.json` on real and simulated curves, and widen their quantiles.

`python tests/benchmarks/train_forecast.py` needs the real curves beside the project and some minutes on one core. Every
network leaves one source out; each source is then forecast by its own, and the factors that bring those quantiles
to their shares are what the quantiles of all are widened by. With `--record` nothing is trained: the stopping rule
is replayed on all real curves, again by networks that do not know them, and its record is written into the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from forecast_data import Family, families, folder  # noqa: E402
from forecast_simulated import simulated  # noqa: E402

from analysis.forecast.cross_run_prior import CrossRunPrior  # noqa: E402
from analysis.forecast.curve import Curve, Refused, prepare  # noqa: E402
from analysis.forecast.distribution import LEVELS  # noqa: E402
from analysis.forecast.ensemble import fit_ensemble  # noqa: E402
from analysis.forecast.features import NAMES, features  # noqa: E402
from analysis.forecast.population import CLIP, FILE, MIDDLE, MOST, Network, population, widened  # noqa: E402
from analysis.forecast.settings import DEFAULT  # noqa: E402
from analysis.forecast.stop_rule import ALONE, ENOUGH, LIMITS, ORIGINS, WITH_OTHERS, replay  # noqa: E402
from workbench.names import lower_is_better  # noqa: E402

Array = np.ndarray
WHERE = Path(__file__).resolve().parents[2] / "analysis" / "forecast" / FILE
SHARES = (0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.36, 0.43, 0.5, 0.58, 0.66, 0.75, 0.84, 0.92)
REPLAYED, AMONG = 12, 8  # curves of a family on which the rule is replayed, other runs beside each
SCORED = (0.25, 0.5, 0.75)
SIMULATED = "simulated"
SIMULATED_CURVES, SIMULATED_WEIGHT = 2600, 0.5
SEEDS = 2  # networks a source
HIDDEN, EPOCHS, BATCH, STEP, DECAY = 16, 6, 1024, 0.01, 0.01
KNOTS = np.log([0.25, 0.5, 0.75])  # of the share of the way seen, where factors are fitted
FARTHEST = 60.0  # units: no miss counts as more
SOFT_EDGE = 0.02  # units within which the pinball loss is rounded off


@dataclass(frozen=True)
class Examples:
    """Rows of features, the truth in units, and where each comes from."""

    table: Array
    truth: Array
    ahead: Array
    source: Array
    family: Array
    share: Array
    final: Array

    def only(self, mask: Array) -> Examples:
        """Return the rows that `mask` picks."""
        return Examples(**{name: value[mask] for name, value in self.__dict__.items()})


def examples() -> Examples:
    """Return all examples: every curve from many origins, with its learning rates and without, to several epochs."""
    data = folder()
    if data is None:
        raise SystemExit("the real curves are absent (WORKBENCH_TEST_DATA)")
    rows: list[tuple] = []
    for number, family in enumerate(families(data)):
        for index, curve in enumerate(family.curves):
            rng = np.random.default_rng((number, index))
            for known in (True, False) if len(curve.rates) else (False,):
                shown = curve if known else replace(curve, rates=())
                for share in SHARES:
                    rows += _examples(_renamed(shown, rng), share, family.source, family.name, rng)
    for seed in range(SIMULATED_CURVES):
        rng, curve = np.random.default_rng((99, seed)), simulated(seed)
        shown = curve if rng.random() < 0.6 else replace(curve, rates=())
        for share in rng.choice(SHARES, 2, replace=False):
            rows += _examples(shown, share, SIMULATED, SIMULATED, rng)
    table, truth, ahead, source, family, share, final = zip(*rows, strict=True)
    return Examples(*map(np.array, (table, truth, ahead, source, family, share, final)))


def _renamed(curve: Curve, rng: np.random.Generator) -> Curve:
    """Return the curve, in two cases of five under a name that does not say it was measured on held-out data."""
    return replace(curve, metric=curve.metric.removeprefix("val_")) if rng.random() < 0.4 else curve


def _examples(curve: Curve, share: float, source: str, family: str, rng: np.random.Generator) -> list[tuple]:
    seen = max(DEFAULT.fewest, round(share * len(curve.values)))
    if seen >= len(curve.values):
        return []
    try:
        prepared = prepare(curve.until(curve.first + seen - 1), curve.last)
    except Refused:
        return []
    if prepared.floor != 0:
        return []
    n, length = len(prepared.y), prepared.length
    near = min(length, n + max(1, round(n * rng.uniform(0.05, 0.6))))
    targets = np.unique([length, int(rng.integers(n + 1, length + 1)), near])
    result = features(prepared, fit_ensemble(prepared, DEFAULT), targets)
    rows, ahead = [], np.log(n / targets)
    for k, target in enumerate(targets):
        value = curve.values[prepared.start - curve.first + target - 1]
        if np.isfinite(value):
            truth = float(result.log(prepared.above(value))) / result.unit[k]
            truth = float(np.clip(truth, -FARTHEST, FARTHEST))
            rows.append((result.table[k], truth, ahead[k], source, family, share, target == length))
    return rows


def weights(rows: Examples) -> Array:
    """Return weights: a source counts as much as the next, its families alike, the simulated ones for half of all."""
    found, real = np.zeros(len(rows.truth)), rows.source != SIMULATED
    for source in np.unique(rows.source[real]):
        names = np.unique(rows.family[rows.source == source])
        for name in names:
            mask = rows.family == name
            found[mask] = 1 / mask.sum() / np.sqrt(len(names))
    found[real] *= (1 - SIMULATED_WEIGHT) / found[real].sum()
    found[~real] = SIMULATED_WEIGHT / max((~real).sum(), 1)
    return found / found.mean()


def train(rows: Examples, left_out: str, seed: int) -> Network:
    """Return a network trained by Adam on the pinball losses of all levels, with a falling rate and weight decay."""
    rng, weight = np.random.default_rng(seed), weights(rows)
    mean = np.average(rows.table, axis=0, weights=weight)
    std = np.sqrt(np.average((rows.table - mean) ** 2, axis=0, weights=weight)) + 1e-3
    inputs, count, levels = np.clip((rows.table - mean) / std, -CLIP, CLIP), len(NAMES), len(LEVELS)
    values = [rng.normal(size=(count, HIDDEN)) / np.sqrt(count), np.zeros(HIDDEN)]
    values += [0.3 * rng.normal(size=(HIDDEN, levels)) / np.sqrt(HIDDEN), np.zeros(levels)]
    values.append(np.zeros((count, levels)))
    first, second = ([np.zeros_like(value) for value in values] for _ in range(2))
    total, step = EPOCHS * (len(inputs) // BATCH), 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(inputs))
        for begin in range(0, len(inputs) - BATCH + 1, BATCH):
            pick, step = order[begin : begin + BATCH], step + 1
            rate = STEP * (0.5 * (1 + np.cos(np.pi * step / total)) + 0.02)
            for k, slope in enumerate(_gradient(values, inputs[pick], rows.truth[pick], weight[pick])):
                first[k] = 0.9 * first[k] + 0.1 * slope
                second[k] = 0.99 * second[k] + 0.01 * slope**2
                size = np.sqrt(second[k] / (1 - 0.99**step)) + 1e-9
                values[k] -= rate * first[k] / (1 - 0.9**step) / size
    return Network(left_out, mean, std, values)


def _gradient(values: list[Array], inputs: Array, truth: Array, weight: Array) -> list[Array]:
    enter, enter_bias, leave, leave_bias, beside = values
    hidden = np.tanh(inputs @ enter + enter_bias)
    raw = np.clip(hidden @ leave + leave_bias + inputs @ beside, -MOST, MOST)
    steps, m = np.logaddexp(0.0, raw), MIDDLE
    found = np.empty_like(raw)
    found[:, m] = raw[:, m]
    found[:, m + 1 :] = raw[:, [m]] + np.cumsum(steps[:, m + 1 :], axis=1)
    found[:, :m] = raw[:, [m]] - np.cumsum(steps[:, :m][:, ::-1], axis=1)[:, ::-1]
    miss = truth[:, None] - found
    slope = np.where(miss > 0, -LEVELS, 1 - LEVELS) * np.minimum(1, np.abs(miss) / SOFT_EDGE)
    slope *= weight[:, None] / len(truth)
    share, back = 1 / (1 + np.exp(-raw)), np.zeros_like(raw)
    back[:, m] = slope.sum(1)
    back[:, m + 1 :] = np.cumsum(slope[:, m + 1 :][:, ::-1], axis=1)[:, ::-1] * share[:, m + 1 :]
    back[:, :m] = -np.cumsum(slope[:, :m], axis=1) * share[:, :m]
    inner = back @ leave.T * (1 - hidden**2)
    return [
        inputs.T @ inner + DECAY * enter,
        inner.sum(0),
        hidden.T @ back + DECAY * leave,
        back.sum(0),
        inputs.T @ back + 3 * DECAY * beside,
    ]


def left_out(rows: Examples, networks: list[Network]) -> Array:
    """Return quantiles in units (levels, rows) of every real row by the networks that have not seen its source."""
    found = np.full((len(LEVELS), len(rows.truth)), np.nan)
    for source in {network.left_out for network in networks}:
        mask = rows.source == source
        own = [network.quantiles(rows.table[mask]) for network in networks if network.left_out == source]
        found[:, mask] = np.mean(own, axis=0)
    return found


def widening(rows: Examples, units: Array) -> Array:
    """Return the factors (knots, levels) with which each quantile is passed as often as it says, families alike."""
    found = np.ones((len(SCORED), len(LEVELS)))
    for k, share in enumerate(SCORED):
        mask = rows.final & (rows.source != SIMULATED) & (rows.share == share)
        names, inverse, count = np.unique(rows.family[mask], return_inverse=True, return_counts=True)
        weight = 1 / count[inverse] / len(names)
        miss = rows.truth[mask] - units[MIDDLE, mask]
        for level, tail in enumerate(np.minimum(LEVELS, 1 - LEVELS)):
            if level != MIDDLE:
                ratio = miss / (units[level, mask] - units[MIDDLE, mask])
                order = np.argsort(ratio)
                place = np.searchsorted(np.cumsum(weight[order]), 1 - tail)
                found[k, level] = max(ratio[order][min(place, len(order) - 1)], 0.5)
    return found


def coverage(rows: Examples, units: Array) -> str:
    """Return one line a share: how often the 80 and 50 percent intervals held, families alike."""
    lines = []
    for share in SCORED:
        mask = rows.final & (rows.source != SIMULATED) & (rows.share == share)
        held = [(units[low] <= rows.truth) & (rows.truth <= units[high]) for low, high in ((1, 5), (2, 4))]
        names = np.unique(rows.family[mask])
        means = [np.mean([each[mask & (rows.family == name)].mean() for name in names]) for each in held]
        lines.append(f"{share:.0%}: 80 % coverage {means[0]:.0%}, 50 % coverage {means[1]:.0%}")
    return "\n".join(lines)


def record(found: Sequence[Family], others: int) -> dict:
    """Return how many successes the rule would have stopped at each limit, and how many hopeless runs by half.

    A success is asked for what it reached; a run in the worse half of its family is hopeless when asked for the best
    end of the others. Families count alike.
    """
    wrong, hopeless, count = [], [], 0
    for family in found:
        curves = [curve for curve in family.curves if np.isfinite(curve.values[-1])]
        least, early = _replayed(curves, family.source, others)
        if len(least):
            wrong.append([(least < limit).mean() for limit in LIMITS])
            count += len(least)
        if len(early):
            hopeless.append([(early < limit).mean() for limit in LIMITS])
    return {
        "curves": count,
        "families": len(wrong),
        "wrong": _short(np.mean(wrong, axis=0)),
        "worst": _short(np.max(wrong, axis=0)),
        "hopeless": _short(np.mean(hopeless, axis=0)),
    }


def _replayed(curves: Sequence[Curve], source: str, others: int) -> tuple[Array, Array]:
    """Return the least chances of what was reached, and by half of the best end for the worse half."""
    rng, known, kept = np.random.default_rng(0), population().without(source), {}
    if len(curves) <= max(others, ENOUGH):
        return np.empty(0), np.empty(0)
    sign = 1 if lower_is_better(curves[0].metric) else -1
    ends = np.array([sign * curve.values[-1] for curve in curves])
    least, early, half = [], [], [origin for origin in ORIGINS if origin <= 0.5]
    for k, curve in enumerate(curves[:REPLAYED]):
        rest = [other for other in curves if other is not curve]
        picked = [rest[i] for i in rng.choice(len(rest), min(others, len(rest)), replace=False)]
        group = CrossRunPrior(picked, known=known, kept=kept) if others else ()
        least.append(replay(curve, curve.values[-1], group, known).min())
        if ends[k] > np.median(ends):
            early.append(replay(curve, sign * np.delete(ends, k).min(), group, known, origins=half).min())
    return np.array(least), np.array(early)


def write_record() -> None:
    """Replay the rule alone and with other runs, print its record and write it into the file."""
    data = folder()
    if data is None:
        raise SystemExit("the real curves are absent (WORKBENCH_TEST_DATA)")
    found = families(data)
    stored = json.loads(WHERE.read_text())
    stored["record"] = {ALONE: record(found, 0), WITH_OTHERS: record(found, AMONG)}
    print(json.dumps({"limits": LIMITS, **stored["record"]}, indent=1))
    WHERE.write_text(json.dumps(stored, separators=(",", ":")) + "\n")


def main() -> None:
    """Train, widen, print what held on sources left out, and write the file; its record of stops stays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    if parser.parse_args().record:
        write_record()
        return
    rows = examples()
    print(f"{len(rows.truth)} examples")
    sources = sorted(set(rows.source.tolist()) - {SIMULATED})
    networks = [
        train(rows.only(rows.source != source), source, seed) for source in sources for seed in range(SEEDS)
    ]
    units = left_out(rows, networks)
    print(coverage(rows, units), "as trained", sep="\n")
    factors = widening(rows, units)
    print(coverage(rows, widened(units, rows.ahead, KNOTS, factors)), "widened", sep="\n")
    print(np.round(factors, 2))
    record = json.loads(WHERE.read_text())["record"] if WHERE.is_file() else {}
    stored = [
        {
            "left_out": network.left_out,
            "mean": _short(network.mean),
            "std": _short(network.std),
            "weights": [_short(each) for each in network.weights],
        }
        for network in networks
    ]
    whole = {"ahead": _short(KNOTS), "widening": _short(factors), "networks": stored, "record": record}
    WHERE.write_text(json.dumps(whole, separators=(",", ":")) + "\n")


def _short(array: Array) -> list:
    """Return an array as lists of numbers with five digits."""
    return json.loads(json.dumps(array.tolist()), parse_float=lambda text: float(f"{float(text):.5g}"))


if __name__ == "__main__":
    main()
