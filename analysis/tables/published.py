"""Published numbers beside ours: what others report for a study's variants, what our runs reach, and is it noise?

`experiments/published/STUDY.json` holds numbers only. `at` says which number a row reports: "each" is the maximum
of each set, a metric's name the epoch at which that metric is best, "last" the last epoch. Ours is read the
same way, from the records or from the summary of them that `docs/results.json` keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import Records, is_missing, per_epoch
from analysis.stats import significance as sig
from analysis.tables.verdicts import PAIRS, UNKNOWN
from workbench.errors import RecordError, suggestion
from workbench.names import FINISHED, is_evaluation, lower_is_better

EACH, LAST = "each", "last"
IMPORTED, QUICK, RUN, UNFINISHED, NO_RUN = "imported", "quick", "run", "unfinished", "no run"
FEWEST, MOST = 4, 6  # decimals of an accuracy: 6,000 pairs give steps of .00017
ORDER = (RUN, IMPORTED, UNFINISHED, QUICK)  # what counts as ours, the best kind first


@dataclass(frozen=True)
class Published:
    """What is published of a study: `runs` is {variant: {set: (value, 1-based epoch or None)}}."""

    study: str
    at: str
    runs: Mapping[str, Mapping[str, tuple[float, int | None]]]
    source: str = ""


@dataclass(frozen=True)
class Ours:
    """What our runs of one variant reach: `values` is {at: {set: (mean, epoch or None)}}.

    `kind` is one of `ORDER`; `runs` counts them (seeds), and `pairs` is {set: pairs} where scores are stored.
    """

    kind: str
    runs: int
    values: Mapping[str, Mapping[str, tuple[float, int | None]]]


def folders() -> tuple[Path, ...]:
    """Return where specs are looked for: below the working folder, then beside this package."""
    return (Path.cwd() / "experiments", Path(__file__).resolve().parents[2] / "experiments")


def spec_of(study: str) -> Path:
    """Return the spec file of a study; raises `RecordError` with the nearest names where there is none."""
    known: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.py")):
            known.setdefault(path.stem, path)
    name = Path(study).stem
    if name not in known:
        raise RecordError(f"no study {study!r}", where="experiments/", do=suggestion(name, known))
    return known[name]


def read_published(path: Path) -> Published:
    """Return the numbers of a file; raises `RecordError` naming what is wrong with it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        first = int(content["first_epoch"])
        runs = {
            str(name): {
                str(metric): (float(value), None if epoch is None else int(epoch) - first + 1)
                for metric, (value, epoch) in row.items()
            }
            for name, row in content["runs"].items()
        }
        return Published(path.stem, str(content["at"]), runs, str(content["source"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"cannot be used: {error}", where=path,
            expected='{"source": ..., "at": ..., "first_epoch": 0, "runs": {variant: {set: [value, epoch]}}}',
        ) from error  # fmt: skip


def published_of(study: str) -> Published:
    """Return what is published of a study, nothing where there is no file of numbers.

    Ours is then read at the last epoch: the best one would be chosen on the very set that is reported.
    """
    spec = spec_of(study)
    path = spec.parent / "published" / f"{spec.stem}.json"
    return read_published(path) if path.is_file() else Published(spec.stem, LAST, {})


def reading(at: str) -> str:
    """Say in words which number a row reports."""
    words = {EACH: "the maximum of each set", LAST: "those of the last epoch"}
    return words.get(at, f"those at the epoch at which {at} is best")


# ---------------------------------------------------------------- ours


def ours_of(records: Records, study: str, ats: Sequence[str]) -> dict[str, Ours]:
    """Return what our runs of a study reach, by variant; runs of the best kind that there is count.

    Raises nothing: a variant without a usable epoch is left out.
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
        if any(values.values()):
            found[str(name)] = Ours(kind, len(runs), values)
    return found


def kind_of(run: Any) -> str:
    """Return what a row of the frame of runs is: a finished run, an imported one, a quick one, unfinished."""
    if run["quick"] is True or run["quick"] == 1:
        return QUICK
    if is_missing(run["id"]) or not run["id"]:
        return IMPORTED
    return RUN if run["status"] == FINISHED else UNFINISHED


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
    epochs = epochs[[is_evaluation(str(metric)) for metric in epochs["metric"]]]
    table = per_epoch(epochs).pivot_table(index="epoch", columns="metric", values="value", observed=True)
    if table.empty or (at not in (EACH, LAST) and at not in table):
        return {}
    if at == EACH:
        best = {metric: _best_epoch(table, metric) for metric in table.columns}
        return {str(m): (float(table.loc[epoch, m]), epoch) for m, epoch in best.items()}
    epoch = int(table.index.max()) if at == LAST else _best_epoch(table, at)
    return {str(m): (float(v), epoch) for m, v in table.loc[epoch].items() if not is_missing(v)}


# ---------------------------------------------------------------- side by side


def comparison(published: Published, ours: Mapping[str, Ours], variants: Iterable[str]) -> pd.DataFrame:
    """Return one row a variant and set: published, ours, their difference, its interval, and the verdict.

    Epochs are 1-based. Verdicts are corrected over the whole table; quick runs get none, since they train
    something else, nor do unfinished ones. A variant that is neither published nor run has one row that says so.
    """
    rows = [row for name in variants for row in _rows(name, published, ours.get(name))]
    compared = [_compared(row) for row in rows]
    for row, found, word in zip(rows, compared, sig.verdicts(compared)):
        row["difference"] = np.nan if found is None else found.difference
        row["from"], row["to"] = (np.nan, np.nan) if found is None else (found.low, found.high)
        row["verdict"] = word or _why_not(row)
    frame = pd.DataFrame(rows)
    for column in ("epoch", "our epoch"):
        frame[column] = frame[column].astype("Int64")
    order = [
        "run",
        "set",
        "published",
        "epoch",
        "ours",
        "our epoch",
        "difference",
        "from",
        "to",
        "verdict",
        "runs",
    ]
    return frame[order]


def shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison for readers: without columns that are empty, and without rows that say nothing."""
    kept = [column for column in frame.columns if column in ("run", "set") or not _empty(frame[column])]
    if "published" not in kept and "verdict" in kept:  # there is nothing that it could be about
        kept.remove("verdict")
    return frame[kept]


def decimals(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many decimals the columns of a comparison are written with: as many as were published."""
    values = [float(value) for value in frame.get("published", ()) if not is_missing(value)]
    most = max((len(repr(value).partition(".")[2]) for value in values), default=FEWEST)
    digits = min(max(most, FEWEST), MOST)
    wanted = {"published": digits, "ours": digits, "difference": digits, "from": FEWEST, "to": FEWEST}
    return {name: number for name, number in wanted.items() if name in frame}


def _empty(column: pd.Series) -> bool:
    return all(is_missing(value) or value == "" for value in column)


def _rows(name: str, published: Published, ours: Ours | None) -> list[dict[str, Any]]:
    theirs = published.runs.get(name, {})
    own = {} if ours is None else ours.values.get(published.at, {})
    shown = list(dict.fromkeys([*theirs, *own])) or [""]
    word = NO_RUN if ours is None else ours.kind if ours.runs == 1 else f"{ours.runs} seeds"
    if ours is not None and ours.runs > 1 and ours.kind != RUN:
        word += f", {ours.kind}"
    return [
        {
            "run": name, "set": metric,
            "published": theirs.get(metric, (np.nan, None))[0], "epoch": theirs.get(metric, (0, None))[1],
            "ours": own.get(metric, (np.nan, None))[0], "our epoch": own.get(metric, (0, None))[1],
            "runs": word, "kind": NO_RUN if ours is None else ours.kind,
        }
        for metric in shown
    ]  # fmt: skip


def _compared(row: Mapping[str, Any]) -> sig.Comparison | None:
    """Compare as two shares of the set's pairs; None where one is missing, or the run is quick or unfinished."""
    pairs = PAIRS.get(row["set"], 0)
    if (
        is_missing(row["published"])
        or is_missing(row["ours"])
        or row["kind"] in (QUICK, UNFINISHED)
        or not pairs
    ):
        return None
    return sig.unpaired(row["ours"], row["published"], pairs)


def _why_not(row: Mapping[str, Any]) -> str:
    if row["kind"] == NO_RUN:
        return ""
    if row["kind"] in (QUICK, UNFINISHED):
        return f"{UNKNOWN} ({row['kind']})"
    return "not published" if is_missing(row["published"]) else f"{UNKNOWN} (number of pairs unknown)"


def missing(ours: Mapping[str, Ours], variants: Iterable[str]) -> list[str]:
    """Return the variants of which there is no finished run, neither of our own nor imported."""
    return [name for name in variants if name not in ours or ours[name].kind not in (RUN, IMPORTED)]


def _best_epoch(table: pd.DataFrame, metric: str) -> int:
    return int(table[metric].idxmin() if lower_is_better(metric) else table[metric].idxmax())
