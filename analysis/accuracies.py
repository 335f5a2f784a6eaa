"""`choose_accuracy`: the four tables that a notebook picks its winners from, out of history files.

The epochs here are 0-based, as in those notebooks; everywhere else in the workbench they are 1-based.
A NaN never counts as best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.sources.history_json import History, read_history
from workbench.errors import RecordError, suggestion

EVALS_NAME = ["lfw", "cfp_fp", "agedb_30", "IJBB", "IJBC"]

Table = dict[str, dict[str, Any]]


def choose_accuracy(
    paths: Sequence[str | Path],
    skip_name_len: int = 0,
    sort_metric: bool = False,
    metric_key: str = "agedb_30",
    key_picks: Sequence[str] | None = None,
) -> tuple[Table, Table, Table]:
    """Print and return the best accuracies of history files, a row a file named by its stem.

    Prints four Markdown tables: the sets at the first best epoch of `metric_key`; the text
    "accuracy, epoch" of each set's own best; the sets at the first best epoch of their plain sum; the
    last values, with the number of values as epoch. Rows lose their first `skip_name_len` characters
    and stand in input order, or with `sort_metric` ascending by the metric. `key_picks` are the sets
    shown (default: the known evaluation names that the files have); an unknown `metric_key` becomes
    the last of them. Returns the first three tables as `{row: {column: value}}`, unrounded, with
    0-based epochs. Raises `RecordError` for a file that cannot be read or lacks the metric.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    histories = {str(path): read_history(path) for path in paths}
    rows_named = row_names([Path(path) for path in histories], skip_name_len)
    known = dict.fromkeys(key for history in histories.values() for key in history)
    picks = [key for key in (key_picks or EVALS_NAME) if key in known]
    if not picks:
        raise RecordError("no evaluation set to choose by", expected=", ".join(key_picks or EVALS_NAME))
    metric = metric_key if metric_key in picks else picks[-1]
    for path, history in histories.items():
        if metric not in history:
            raise RecordError(f"no metric {metric!r}", where=path, do=suggestion(metric, history))

    def table(row: Callable[[History], dict[str, Any]]) -> Table:
        rows = {name: row(history) for name, history in zip(rows_named, histories.values(), strict=True)}
        if sort_metric:
            rows = dict(sorted(rows.items(), key=lambda item: item[1][metric]))
        return rows

    best = table(lambda history: at_epoch(history, picks, first_best(history[metric])))
    own = table(lambda history: {key: _own_best(history[key]) for key in picks if key in history})
    total = table(lambda history: at_epoch(history, picks, first_best(_sums(history, picks))))
    latest = table(lambda history: _latest(history, picks, metric))
    for title, rows in ((f"{metric} max", best), ("all max", own), ("sum max", total), ("latest", latest)):
        print(f">>>> {title} :\n{_markdown(rows, picks)}\n")  # noqa: T201 - what it is called for
    return best, own, total


def row_names(paths: Sequence[Path], skip: int = 0) -> list[str]:
    """Return the files' stems without their first `skip` characters; equal ones get their folder's name."""
    stems = [path.stem[skip:] for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{path.parent.name}/{stem}"
        for path, stem in zip(paths, stems, strict=True)
    ]


def first_best(values: Sequence[float], lower: bool = False) -> int:
    """Return the 0-based position of the first best value, NaN never being best (0 if all are NaN)."""
    worst = math.inf if lower else -math.inf
    clean = [worst if math.isnan(value) else value for value in values]
    return clean.index(min(clean) if lower else max(clean))


def at_epoch(history: Mapping[str, Sequence[float]], picks: Sequence[str], epoch: int) -> dict[str, Any]:
    """Return the picked metrics at a 0-based epoch, and the epoch; metrics without a value there are NaN."""
    values = {key: history[key] for key in picks if key in history}
    return {key: v[epoch] if epoch < len(v) else math.nan for key, v in values.items()} | {"epoch": epoch}


def _sums(history: History, picks: Sequence[str]) -> list[float]:
    return [sum(values) for values in zip(*(history[key] for key in picks if key in history), strict=False)]


def _own_best(values: Sequence[float]) -> str:
    epoch = first_best(values)
    return f"{values[epoch]:.4f}, {epoch:2d}"


def _latest(history: History, picks: Sequence[str], metric: str) -> dict[str, Any]:
    return {key: history[key][-1] for key in picks if history.get(key)} | {"epoch": len(history[metric])}


def _markdown(rows: Table, picks: Sequence[str]) -> str:
    import tabulate

    columns = [*picks, *(["epoch"] if any("epoch" in row for row in rows.values()) else [])]
    cells = [[name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items()]
    return tabulate.tabulate(cells, headers=["", *columns], tablefmt="pipe", disable_numparse=True)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
