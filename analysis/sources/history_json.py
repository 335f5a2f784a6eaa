"""`*_hist.json` files: a list of numbers by metric, a number an epoch.

Lists of unequal length need the stages: a metric that exists in one stage (or some) only has a shorter
list, which is aligned so that it ends where a stage ends; where several places fit, the choice is
recorded. Without the stages such a file is refused, because a guess would move values to wrong epochs.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import INFERRED, MEASURED, Note, Notes, RunData
from workbench.errors import RecordError

History = dict[str, list[float]]


def read(path: Path, stages: Sequence[int] = (), first_epoch: int = 1) -> tuple[list[RunData], list[Note]]:
    """Return the run of a history and the remarks.

    `stages` are the lengths of the stages in epochs; `first_epoch` the global epoch of the first value.
    Raises `RecordError` for an unreadable file and for lists of unequal length without stages.
    """
    notes = Notes(str(path))
    history = {metric: values for metric, values in read_history(path).items() if values}
    if not history:
        raise RecordError("every list is empty: a run with no epochs", where=path)
    total = max(map(len, history.values()))
    _check(history, stages, total, path)
    name = path.stem.removesuffix("_hist")
    facts = {"name": name, "origin": str(path), "status": "finished"}
    data = RunData(run=name, file=str(path), facts=facts, first_epoch=first_epoch)
    text = path.read_text(encoding="utf-8")
    for metric, values in history.items():
        start = 0 if len(values) == total else _aligned(metric, len(values), stages, total, notes)
        epochs = first_epoch + start + np.arange(len(values))
        line = text.count("\n", 0, text.find(f'"{metric}"')) + 1
        kind = MEASURED if len(values) == total else INFERRED
        data.add(metric, kind, epochs, values, line=np.full(len(values), line))
    return [data], notes.all()


def _check(history: dict[str, list[float]], stages: Sequence[int], total: int, path: Path) -> None:
    lengths = {metric: len(values) for metric, values in history.items()}
    if len(set(lengths.values())) > 1 and not stages:
        shown = ", ".join(f"{metric} {length}" for metric, length in lengths.items())
        raise RecordError(
            f"lists of unequal length ({shown})",
            where=path,
            do="give the lengths of the stages (--stages 2,20)",
        )


def _aligned(metric: str, length: int, stages: Sequence[int], total: int, notes: Notes) -> int:
    """Return the 0-based position at which a short list begins, and record the choice."""
    ends = [min(end, total) for end in itertools.accumulate(stages)]
    if not ends or ends[-1] < total:
        ends.append(total)
    ends = list(dict.fromkeys(ends))
    starts = [0, *ends[:-1]]
    exact = [end for end in ends if end - length in starts]
    end = exact[-1] if exact else next((e for e in reversed(ends) if e >= length), total)
    others = f" (it also fits the end of epoch {', '.join(map(str, exact[:-1]))})" if exact[1:] else ""
    where = "whole stages" if exact else "the end of a stage"
    notes.add(
        f"{metric} has {length} of {total} values: aligned with {where}, epochs {end - length + 1} to {end}{others}"
    )
    return end - length


def read_history(path: str | Path) -> History:
    """Read one `*_hist.json` file: lists of numbers by metric; scalars and texts in it are left out.

    Raises `RecordError` where the file is missing, is not JSON or holds no list.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot be read as a history: {error}", where=path) from error
    if not isinstance(content, dict) or not any(isinstance(value, list) for value in content.values()):
        raise RecordError("is not a history", where=path, expected="a JSON object with lists of numbers")
    try:
        return {key: [number(v) for v in value] for key, value in content.items() if isinstance(value, list)}
    except (TypeError, ValueError) as error:
        raise RecordError(f"holds a value that is no number: {error}", where=path) from error


def number(value: Any) -> float:
    """Return a JSON value as a float; null is NaN, the texts "nan", "inf", "-inf" are what they say."""
    return math.nan if value is None else float(value)
