"""What a study's runs reached and how it compares, as facts that a file can keep: value, spread, verdict, cost.

A spec may name what its runs are compared with, `baseline = "lfw_baseline/base"`; else it is its first row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.frames import Records, is_missing
from analysis.tables import folded, summary, verdicts
from analysis.tables.published_file import spec_of
from workbench.errors import SpecError
from workbench.spec.load import load_module
from workbench.tracking.store import Store

Facts = dict[str, Any]
SHOWN = ("value", "error", "difference", "from", "to", "verdict", "test", "epoch", "seconds")  # in the table


def baseline_of(study: str) -> tuple[str, str] | None:
    """Return study and name of what a spec says its runs are compared with; None where it says nothing."""
    path = spec_of(study)
    said = getattr(load_module(path), "baseline", None)
    if said is None:
        return None
    if not isinstance(said, str) or said.count("/") != 1:
        raise SpecError(f"baseline = {said!r}", where=path, expected='study and name, "lfw_baseline/base"')
    other, _, name = said.partition("/")
    return other, name


def gathered(records: Records, study: str, store: Store) -> Records:
    """Return the finished runs of a study, folds as one, and those of its baseline before them."""
    baseline = baseline_of(study)
    runs = records.runs[~records.runs["quick"].eq(True)]
    own = runs["study"].astype(str) == study
    if baseline is not None and baseline[0] != study:
        own |= (runs["study"].astype(str) == baseline[0]) & (runs["name"].astype(str) == baseline[1])
    return folded.collapsed(records.only(runs["run"][own]), store)


def verdicts_of(records: Records, study: str, store: Store) -> dict[str, Facts]:
    """Return the facts of each row of a study by its name, read as `workbench table --baseline` reads them."""
    known = gathered(records, study, store)
    select = summary.default_metric(known)
    metric = summary.compared_metric(known, select)
    frame = summary.summary(known, select)
    rows = verdicts.rows_of(known, frame, select, store, metric)
    said = baseline_of(study)
    base = next((row for row in rows if said is not None and row.name == said[1]), rows[0])
    table = verdicts.with_verdicts(frame, rows, metric, base, strict=False)
    groups = summary.seed_groups(known.runs)
    facts = {}
    for position, members in enumerate(groups):
        first = known.runs.iloc[members[0]]
        if str(first["study"]) == study:
            facts[str(table["run"].iloc[position])] = _facts(
                table.iloc[position], rows[position], metric, base.name
            )
    return facts


def _facts(line: pd.Series, row: verdicts.Row, metric: str, against: str) -> Facts:
    error = line.get(f"{metric} SE")
    error = line.get(f"{metric} ±") if is_missing(error) else error
    facts = {
        "metric": metric,
        "value": row.value,
        "error": error,
        "low": line.get("low"),
        "high": line.get("high"),
    }
    facts |= {"folds": int(line.get("folds", 1)), "seeds": len(row.values), "pairs": row.pairs}
    facts |= {"epoch": line.get("epoch"), "seconds": line.get("seconds"), "against": against}
    facts |= {name: line[name] for name in ("difference", "from", "to", "p", "test", "verdict")}
    return {name: _plain(value) for name, value in facts.items() if not is_missing(value)}


def _plain(value: Any) -> Any:
    number = value.item() if hasattr(value, "item") else value
    return round(number, 6) if isinstance(number, float) and math.isfinite(number) else number


def table(rows: Mapping[str, Facts]) -> pd.DataFrame:
    """Return kept facts as a table for readers, columns without a value left out."""
    lines = []
    for name, facts in rows.items():
        line = {fact: facts.get(fact) for fact in SHOWN}
        lines.append({"run": name, "set": facts["metric"], **line, "runs": _words(facts)})
    frame = pd.DataFrame(lines).rename(columns={"epoch": "epochs"})
    return frame[[name for name in frame if not all(is_missing(v) or v == "" for v in frame[name])]]


def _words(facts: Facts) -> str:
    seeds = "" if facts["seeds"] == 1 else f"{facts['seeds']} seeds"
    folds = "" if facts["folds"] == 1 else f"{facts['folds']} folds"
    return ", ".join(word for word in (folds, seeds) if word) or "1"
