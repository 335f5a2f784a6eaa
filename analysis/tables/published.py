"""Published numbers beside ours: what others report for a study's variants, what our runs reach, and is it noise?

Ours is read as the published number was (`published_file` says how), from the records or from the summary of them
that `docs/results.json` keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.frames import Records, is_missing, per_epoch
from analysis.stats import significance as sig
from analysis.tables.published_file import EACH, EPOCH, IJB, LAST, Published, Values
from analysis.tables.render import fixed_point
from analysis.tables.verdicts import PAIRS, UNKNOWN
from workbench import names
from workbench.errors import RecordError
from workbench.security.foreign_files import read_file
from workbench.security.safe_json import loads

if TYPE_CHECKING:
    from workbench.tracking.store import Store

STEP_SECONDS = "step_seconds"  # of an epoch, over its steps
GENUINE = {"IJBB": 10270, "IJBC": 19557}  # pairs of one person, of which a true accept rate is a share
LARGE = 100.0  # values from here on are written without decimals
IMPORTED, QUICK, RUN, UNFINISHED, NO_RUN = "imported", "quick", "run", "unfinished", "no run"
FEWEST, MOST = 4, 6  # decimals of an accuracy: 6,000 pairs give steps of .00017
ORDER = (RUN, IMPORTED, UNFINISHED, QUICK)  # what counts as ours, the best kind first


@dataclass(frozen=True)
class Ours:
    """What our runs of one variant reach: `values` is {at: {set: (mean, epoch or None)}}.

    `kind` is one of `ORDER`; `runs` counts them (seeds), and `pairs` is {set: pairs} where scores are stored.
    `judged` is what `analysis.tables.study_verdicts` says of a study that nothing is published of.
    """

    kind: str
    runs: int
    values: Mapping[str, Mapping[str, tuple[float, int | None]]]
    judged: Mapping[str, Any] | None = None


def reading(at: str) -> str:
    """Say in words which number a row reports."""
    words = {EACH: "the maximum of each set", LAST: "those of the last epoch"}
    return words.get(at, f"those at the epoch at which {at} is best")


def exceptions(published: Published) -> str:
    """Say which rows are read otherwise than the others; empty where none is."""
    rows = [f"{name}: {reading(at)}" for name, at in published.at_of.items() if at != published.at]
    return f"; {'; '.join(rows)}" if rows else ""


# ---------------------------------------------------------------- ours


def ours_of(records: Records, study: str, ats: Sequence[str], store: Store | None = None) -> dict[str, Ours]:
    """Return what our runs of a study reach, by variant; runs of the best kind that there is count.

    What `workbench ijb` found of them is read from `store`. Raises nothing: a variant without a usable epoch is
    left out.
    """
    own = records.runs[records.runs["study"].astype(str) == study]
    found: dict[str, Ours] = {}
    for name, group in own.groupby(own["name"].astype(str), sort=False):
        kinds = [kind_of(row) for _, row in group.iterrows()]
        kind = next((kind for kind in ORDER if kind in kinds), None)
        if kind is None:
            continue
        runs = [str(run) for run, its in zip(group["run"], kinds) if its == kind]
        values = {at: means(records, runs, at) for at in ats}
        if store is not None and (rates := ijb_means(store, runs)):
            values[IJB] = rates
        if any(values.values()):
            found[str(name)] = Ours(kind, len(runs), values)
    return found


def ijb_means(store: Store, runs: Sequence[str]) -> dict[str, dict[str, tuple[float, None]]]:
    """Return {"SET RATE": (mean over runs of the true accept rate, None)} by reading, of runs that were measured."""
    rows: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for path in sorted((store.run_artifacts(run) / "ijb").glob("*.json")):
            for key, value in _ijb_rates(path).items():
                rows.setdefault(key, []).append(value)
    return {name: (float(np.mean(values)), None) for name, values in rows.items()}


def _ijb_rates(path: Path) -> dict[str, float]:
    """Return {"SET RATE READING": true accept rate} of one measurement; raises `RecordError` for a file that is none."""
    try:
        facts = loads(read_file(path))
        return {
            f"{facts['set'].upper()} {far} {name}": float(value)
            for name, row in facts["one_to_one"].items()
            for far, value in row.items()
            if value is not None
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RecordError(
            f"cannot be used: {error!r}", where=path, do="measure again with `workbench ijb`"
        ) from error


def kind_of(run: Any) -> str:
    """Return what a row of the frame of runs is: a finished run, an imported one, a quick one, unfinished."""
    if run["quick"] is True or run["quick"] == 1:
        return QUICK
    if is_missing(run["id"]) or not run["id"]:
        return IMPORTED
    return RUN if run["status"] == names.FINISHED else UNFINISHED


def means(records: Records, runs: Sequence[str], at: str) -> dict[str, tuple[float, int | None]]:
    """Return {set: (mean over runs, 1-based epoch of a single run)} of the evaluation sets, read as `at` says."""
    rows = [row for run in runs if (row := values_at(records, run, at))]
    metrics = dict.fromkeys(metric for row in rows for metric in row)
    result: dict[str, tuple[float, int | None]] = {}
    for metric in metrics:
        there = [row[metric] for row in rows if metric in row]
        value = float(np.mean([value for value, _ in there]))
        result[metric] = (value, there[0][1] if len(there) == 1 else None)
    return result


def values_at(records: Records, run: str, at: str) -> dict[str, tuple[float, int]]:
    """Return {set: (value, epoch)} of one run, read as `at` says; empty where its metric is not recorded."""
    epochs = records.epochs[(records.epochs["run"] == run) & records.epochs["value"].notna()]
    if at.startswith(EPOCH):
        return values_of_epoch(epochs, int(at.removeprefix(EPOCH)))
    metrics = epochs["metric"].astype(str)
    peaks = epochs[metrics.str.endswith(names.PEAK_SUFFIX)]  # the best within epochs too, of whichever epoch
    epochs = epochs[[names.is_evaluation(name) or name.startswith(names.VAL_PREFIX) for name in metrics]]
    table = per_epoch(epochs).pivot_table(index="epoch", columns="metric", values="value", observed=True)
    if table.empty or (at not in (EACH, LAST) and at not in table):
        return {}
    best = {metric: int(names.best_label(table[metric], metric)) for metric in table.columns}
    if at != EACH:
        best = dict.fromkeys(
            best, int(table.index.max()) if at == LAST else int(names.best_label(table[at], at))
        )
    found = {str(m): (float(table.loc[e, m]), e) for m, e in best.items() if not is_missing(table.loc[e, m])}
    for metric, rows in peaks.groupby("metric", observed=True):
        top = rows.loc[names.best_label(rows["value"], str(metric))]
        found[str(metric)] = (float(top["value"]), int(top["epoch"]))
    return found


def values_of_epoch(epochs: pd.DataFrame, epoch: int) -> dict[str, tuple[float, int]]:
    """Return {metric: (value, epoch)} of all that a run recorded at the end of one epoch, its seconds a step too."""
    rows = per_epoch(epochs[epochs["epoch"] == epoch])
    found = {str(metric): (float(value), epoch) for metric, value in zip(rows["metric"], rows["value"])}
    last = epochs.groupby("epoch")["step"].max()
    done = last.get(epoch, -1) - (0 if epoch == 1 else last.get(epoch - 1, -1))
    known = last.get(epoch, -1) > 0 and (epoch == 1 or last.get(epoch - 1, -1) > 0)
    if names.SECONDS in found and known and done > 0:
        found[STEP_SECONDS] = (found[names.SECONDS][0] / float(done), epoch)
    return found


# ---------------------------------------------------------------- side by side


def comparison(published: Published, ours: Mapping[str, Ours], variants: Iterable[str]) -> pd.DataFrame:
    """Return one row a variant and set: published, ours, their difference, its interval, and the verdict.

    Epochs are 1-based. Verdicts are corrected over the whole table; quick runs get none, since they train
    something else, nor do unfinished ones. A variant that is neither published nor run has one row that says so.
    """
    rows = [row for name in variants for row in _rows(name, published, ours.get(name))]
    compared = [_compared(row) for row in rows]
    for row, found, word in zip(rows, compared, sig.verdicts(compared)):
        row["difference"] = row["ours"] - row["published"] if _both(row) else np.nan
        row["from"], row["to"] = (np.nan, np.nan) if found is None else (found.low, found.high)
        row["verdict"] = word or _why_not(row)
    frame = pd.DataFrame(rows)
    for column in ("epoch", "our epoch"):
        frame[column] = frame[column].astype("Int64")
    theirs, own = ["published", "epoch"], ["ours", "our epoch"]
    return frame[["run", "set", *theirs, *own, "difference", "from", "to", "verdict", "runs"]]


def shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison for readers: without columns that are empty, and without rows that say nothing."""
    kept = [
        column
        for column in frame.columns
        if column in ("run", "set") or not all(is_missing(value) or value == "" for value in frame[column])
    ]
    if "published" not in kept and "verdict" in kept:  # there is nothing that it could be about
        kept.remove("verdict")
    return frame[kept]


def decimals(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many decimals the columns of a comparison are written with: as many as were published."""
    values = [float(value) for value in frame.get("published", ()) if not is_missing(value) and value != ""]
    most = max((len(repr(value).partition(".")[2]) for value in values if abs(value) < LARGE), default=FEWEST)
    wanted = dict.fromkeys(("published", "ours", "difference"), min(max(most, FEWEST), MOST))
    wanted |= {"from": FEWEST, "to": FEWEST}
    return {name: n for name, n in wanted.items() if name in frame and frame[name].dtype.kind == "f"}


def written(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison whose large numbers, such as seconds, are texts without decimals beside the accuracies."""
    numbers = [name for name in ("published", "ours", "difference") if name in frame]
    large = frame[numbers].abs().max(axis=1) >= LARGE
    if not large.any():
        return frame
    result, digits = frame.copy(), decimals(frame)
    for name in numbers:
        result[name] = [
            "" if is_missing(value) else f"{value:.0f}" if big else fixed_point(value, digits[name])
            for value, big in zip(frame[name], large)
        ]
    return result


def _rows(name: str, published: Published, ours: Ours | None) -> list[dict[str, Any]]:
    word = NO_RUN if ours is None else ours.kind if ours.runs == 1 else f"{ours.runs} seeds"
    if ours is not None and ours.runs > 1 and ours.kind != RUN:
        word += f", {ours.kind}"
    rows = []
    for number, (at, theirs) in enumerate(published.rows_of(name)):
        own = _own(ours, at, published.protocol)
        # beside what was measured at one epoch or by `ijb` alone, ours has much more that nobody published
        shown = list(dict.fromkeys([*theirs, *own])) if number == 0 else list(theirs)
        shown = [metric for metric in shown if metric in theirs or is_shown(metric)]
        for metric in shown or ([""] if number == 0 and name not in published.names else []):
            rows.append(
                {
                    "run": name,
                    "set": metric,
                    "at": at,
                    "published": theirs.get(metric, (np.nan, None))[0],
                    "epoch": theirs.get(metric, (0, None))[1],
                    "ours": own.get(metric, (np.nan, None))[0],
                    "our epoch": own.get(metric, (0, None))[1],
                    "runs": word,
                    "kind": NO_RUN if ours is None else ours.kind,
                    "cases": _cases(metric, at, published),
                }
            )
    return rows


def is_shown(metric: str) -> bool:
    """Tell whether a value of ours is shown though nothing is published beside it: an accuracy at an epoch's end."""
    return not metric.endswith(names.PEAK_SUFFIX) and metric != f"{names.VAL_PREFIX}loss"


def _own(ours: Ours | None, at: str, protocol: str) -> Values:
    values = {} if ours is None else ours.values.get(at, {})
    if at != IJB:
        return values
    ending = f" {protocol}"
    return {key.removesuffix(ending): value for key, value in values.items() if key.endswith(ending)}


def _cases(metric: str, at: str, published: Published) -> int:
    """Return of how many pairs or images a value is a share, 0 where it is none or that is not known."""
    if at == IJB:
        return GENUINE.get(metric.partition(" ")[0], 0)
    return published.cases.get(metric, PAIRS.get(metric.removesuffix(names.PEAK_SUFFIX), 0))


def _compared(row: Mapping[str, Any]) -> sig.Comparison | None:
    """Compare as two shares of the set's pairs; None where one is missing, or the run is quick or unfinished."""
    if not _both(row) or not row["cases"] or not all(0 <= row[name] <= 1 for name in ("ours", "published")):
        return None
    return sig.unpaired(row["ours"], row["published"], row["cases"])


def _both(row: Mapping[str, Any]) -> bool:
    there = not is_missing(row["published"]) and not is_missing(row["ours"])
    return there and row["kind"] not in (QUICK, UNFINISHED)


def _why_not(row: Mapping[str, Any]) -> str:
    """Say of a row without a test what its numbers are: a loss or a time is higher or lower, by how much is there."""
    if row["kind"] == NO_RUN:
        return ""
    if row["kind"] in (QUICK, UNFINISHED):
        return f"{UNKNOWN} ({row['kind']})"
    if is_missing(row["published"]):
        return "not published"
    if is_missing(row["ours"]):
        return "not measured"
    if is_share(str(row["set"])):
        return f"{UNKNOWN} (number of pairs unknown)"
    difference = row["ours"] - row["published"]
    return "equal" if difference == 0 else "higher" if difference > 0 else "lower"


def is_share(metric: str) -> bool:
    """Tell whether a metric is a share of pairs or images, which noise moves by what their number says."""
    return "loss" not in metric and names.SECONDS not in metric and not metric.endswith("_thresh")


def trained(ours: Mapping[str, Ours]) -> list[str]:
    """Return the variants whose values come from a training of ours, finished or not."""
    return [name for name, row in ours.items() if row.kind != IMPORTED]


def missing(ours: Mapping[str, Ours], variants: Iterable[str]) -> list[str]:
    """Return the variants of which there is no finished run, neither of our own nor imported."""
    return [name for name in variants if name not in ours or ours[name].kind not in (RUN, IMPORTED)]
