"""A result among published ones: a benchmark's list of methods with their mean accuracy and standard error."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workbench.errors import DataError, RecordError, suggestion

COLUMNS = ("category", "method", "mean_accuracy", "standard_error")
OURS = "ours"


@dataclass(frozen=True)
class Result:
    """One method: `error` is the standard error of its mean accuracy, None where none is stated."""

    category: str
    method: str
    accuracy: float
    error: float | None


def read(path: Path) -> list[Result]:
    """Return the results of a CSV file with the columns of COLUMNS; raises `DataError` naming a bad line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read: {error}", where=path, expected="a CSV file in UTF-8") from error
    absent = [name for name in COLUMNS if not rows or name not in rows[0]]
    if absent:
        raise DataError(f"no column {absent[0]!r}", where=path, expected=f"the columns {', '.join(COLUMNS)}")
    return [_result(row, f"{path}:{line}") for line, row in enumerate(rows, start=2)]


def _result(row: dict[str, str], where: str) -> Result:
    try:
        accuracy = float(row["mean_accuracy"])
        error = float(row["standard_error"]) if row["standard_error"].strip() else None
    except (TypeError, ValueError, AttributeError) as problem:
        raise DataError("no numbers", where=where, expected="mean_accuracy and standard_error") from problem
    if not 0 <= accuracy <= 1:
        raise DataError(f"accuracy {accuracy}", where=where, expected="a share from 0 to 1")
    return Result(row["category"], row["method"], accuracy, error)


def among(
    published: Collection[Result], ours: Collection[Result], categories: Collection[str] = ()
) -> pd.DataFrame:
    """Return all results, the best first, ours among them: method, category, accuracy and standard error.

    `categories` are those shown, by a part of their names in any case; all where none is given. Raises
    `RecordError` for one that no result has.
    """
    known = dict.fromkeys(result.category for result in published)
    for wanted in categories:
        if not any(wanted.lower() in name.lower() for name in known):
            raise RecordError(f"no category {wanted!r}", where="--category", do=suggestion(wanted, known))
    kept = [
        r for r in published if not categories or any(c.lower() in r.category.lower() for c in categories)
    ]
    rows = sorted([*kept, *ours], key=lambda result: -result.accuracy)
    frame = pd.DataFrame(
        [vars(result) for result in rows], columns=["method", "category", "accuracy", "error"]
    )
    return frame.rename(columns={"error": "standard error"})
