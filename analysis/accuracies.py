"""`choose_accuracy`: the four tables that a notebook picks its winners from, out of history files.

The epochs here are 0-based, as in those notebooks; everywhere else in the workbench they are 1-based.
A NaN never counts as best, and of losses and errors the lowest is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.sources.history_json import History
from analysis.sources.run_history import Named, named_history
from workbench.errors import RecordError, suggestion
from workbench.names import badness, lower_is_better

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
    last values, with the number of values as epoch.

    Args:
        paths: Files; also runs of the workbench and their `history.json`, which are called as people call them.
        skip_name_len: Characters that rows lose at their beginning, unless two of them would then have one name.
        sort_metric: Rows ascending by the metric; False: in input order.
        metric_key: The set that chooses; an unknown one becomes the last of `key_picks`.
        key_picks: The sets shown; None: the known evaluation names that the files have.

    Returns:
        The first three tables as `{row: {column: value}}`, unrounded, with 0-based epochs.

    Raises:
        RecordError: A file cannot be read or lacks the metric.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    found = [named_history(path) for path in paths]
    histories = [named.metrics for named in found]
    rows_named = row_names([_called(named) for named in found], skip_name_len)
    known = dict.fromkeys(key for history in histories for key in history)
    picks = [key for key in (key_picks or EVALS_NAME) if key in known]
    if not picks:
        raise RecordError("no evaluation set to choose by", expected=", ".join(key_picks or EVALS_NAME))
    metric = metric_key if metric_key in picks else picks[-1]
    for path, history in zip(paths, histories, strict=True):
        if metric not in history:
            raise RecordError(f"no metric {metric!r}", where=path, do=suggestion(metric, history))

    def table(row: Callable[[History], dict[str, Any]]) -> Table:
        rows = {name: row(history) for name, history in zip(rows_named, histories, strict=True)}
        if sort_metric:
            rows = dict(sorted(rows.items(), key=lambda item: item[1][metric]))
        return rows

    def at_epoch(history: History, epoch: int) -> dict[str, Any]:
        values = {key: history[key] for key in picks if key in history}
        return {key: v[epoch] if epoch < len(v) else math.nan for key, v in values.items()} | {"epoch": epoch}

    def sums(history: History) -> list[float]:
        return [sum(values) for values in zip(*(history[key] for key in picks if key in history))]

    best = table(lambda history: at_epoch(history, best_position(metric, history[metric])))
    own = table(lambda history: {key: _own_best(key, history[key]) for key in picks if key in history})
    total = table(lambda history: at_epoch(history, best_position(metric, sums(history))))
    latest = table(
        lambda history: (
            {key: history[key][-1] for key in picks if history.get(key)} | {"epoch": len(history[metric])}
        )
    )
    for title, rows in ((f"{metric} max", best), ("all max", own), ("sum max", total), ("latest", latest)):
        print(f">>>> {title} :\n{_markdown(rows, picks)}\n")  # noqa: T201 - what it is called for
    return best, own, total


def _called(named: Named) -> Path:
    """Return what a row is named by: the file, or of a run its name."""
    return named.path if named.path and named.label == named.path.stem else Path(f"{named.label}.json")


def row_names(paths: Sequence[Path], skip: int = 0) -> list[str]:
    """Return a name for each file: its stem without the first `skip` characters, more of it for equal ones.

    Equal names get their folder's, or the whole stem, or both, whatever first tells them apart; what
    remains equal (one file named twice) is numbered.
    """
    names = [path.stem[skip:] for path in paths]
    for name in [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        alike = [number for number, other in enumerate(names) if other == name]
        for number, longer in zip(alike, _apart([paths[number] for number in alike], skip), strict=True):
            names[number] = longer
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[number] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names


def _apart(paths: Sequence[Path], skip: int) -> list[str]:
    """Return longer names of files of one name, the first kind of them in which all differ."""
    depth = max(len(path.parts) for path in paths)
    kinds = [[f"{path.parent.name}/{path.stem[skip:]}" for path in paths], [path.stem for path in paths]]
    kinds += [
        ["/".join([*path.parts[-1 - folders : -1], path.stem]) for path in paths]
        for folders in range(1, depth)
    ]
    return next((names for names in kinds if len(set(names)) == len(names)), kinds[-1])


def best_position(metric: str, values: Sequence[float]) -> int:
    """Return the 0-based position of the first best value of a metric, NaN never being best (0 if all are NaN)."""
    order = badness(np.asarray(values, float), lower_is_better(metric))
    return 0 if np.isnan(order).all() else int(np.nanargmin(order))


def _own_best(metric: str, values: Sequence[float]) -> str:
    epoch = best_position(metric, values)
    return f"{values[epoch]:.4f}, {epoch:2d}"


def _markdown(rows: Table, picks: Sequence[str]) -> str:
    import tabulate

    columns = [*picks, *(["epoch"] if any("epoch" in row for row in rows.values()) else [])]
    cells = [[name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items()]
    return tabulate.tabulate(cells, headers=["", *columns], tablefmt="pipe", disable_numparse=True)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
