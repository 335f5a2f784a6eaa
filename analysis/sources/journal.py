"""Our own journals: the accepted epochs of each run, straight from the files that are the truth."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from analysis.branches import trunk_text
from analysis.frames import MEASURED, Note, Notes, RunData
from analysis.sources.mlflow_common import TAG_REGULARISER
from analysis.sources.options import Options
from workbench import names
from workbench.errors import RecordError
from workbench.security.foreign_files import opened
from workbench.tracking.journal import decode_line, read_journal, status
from workbench.tracking.rows import EpochRecord, StartRecord

STAGE_NAMES = ("name", "title", "loss")  # what a stage may be called by, the best first


def is_sweep(path: Path) -> bool:
    """Tell the journal of a sweep itself: its trials have journals of their own.

    Only its first line is read, where the run says what it is.
    """
    try:
        with opened(path) as file:
            start = decode_line(file.readline().rstrip(b"\n"))
    except (OSError, ValueError, RecordError):
        return False
    return isinstance(start, StartRecord) and start.tags.get(names.TAG_KIND) == names.SWEEP


def read(path: Path, options: Options | None = None) -> tuple[list[RunData], list[Note]]:
    """Return the run of one journal and the remarks: damaged lines, and a run with no epochs.

    Raises `RecordError` when the file cannot be read.
    """
    journal, notes = read_journal(path), Notes(str(path))
    if journal.unreadable:
        notes.add(f"unreadable: {journal.unreadable}")
    for damage in journal.damage:
        notes.add(f"not trusted: {damage.reason}", damage.line)
    rows, start = journal.accepted(), journal.start
    if not rows:
        notes.add("a run with no epochs")
    data = RunData(run=journal.run, file=str(path), facts={"name": journal.run, "origin": str(path)})
    data.facts["status"] = names.UNREADABLE if journal.unreadable else status(path)
    if start is not None:
        data.facts |= _facts(start)
        trunk = journal.trunk
        if trunk:
            data.facts["trunk"] = trunk_text(trunk["run"], trunk["epoch"])
            data.facts["parent"] = start.parent or trunk["run"]
        data.settings = dict(start.parameters)
        data.stages = [
            (_stage_name(stage, number), int(stage.get("epochs", 0)))
            for number, stage in enumerate(start.stages, 1)
        ]
        if start.id:  # a training of ours records under bare names what its evaluation sets reach
            names.declare(higher=names.of_unknown_direction(name for row in rows for name in row.metrics))
    known = [row for row in rows if row.seconds == row.seconds]  # an imported run may not know its durations
    data.facts["seconds"] = sum(row.seconds for row in known) or None
    lines = _lines(journal.rows, {damage.line for damage in journal.damage})
    for metric in dict.fromkeys(name for row in rows for name in row.metrics):
        _add(data, metric, [(row, row.metrics[metric]) for row in rows if metric in row.metrics], lines)
    if any(row.seconds for row in known) and names.SECONDS not in rows[0].metrics:
        _add(data, names.SECONDS, [(row, row.seconds) for row in known], lines)
    return [data], notes.all()


def _lines(rows: list[Any], damaged: set[int]) -> dict[int, int]:
    """Return the line number of each row by its identity: every line that is not damaged is a row."""
    numbers = (number for number in itertools.count(1) if number not in damaged)
    return {id(row): number for row, number in zip(rows, numbers)}


def _add(
    data: RunData, metric: str, values: list[tuple[EpochRecord, float]], lines: Mapping[int, int]
) -> None:
    columns = {
        name: [getattr(row, name) for row, _ in values]
        for name in ("attempt", "stage", "stage_epoch", "step")
    }
    columns["line"] = [lines[id(row)] for row, _ in values]
    data.add(metric, MEASURED, [row.epoch for row, _ in values], [value for _, value in values], **columns)


def _facts(start: StartRecord) -> dict[str, Any]:
    return {
        "id": start.id or None,
        "study": start.study,
        "name": start.name or start.run,
        "seed": start.seed,
        "parent": start.parent,
        "quick": start.quick,
        "started": datetime.fromtimestamp(start.time, timezone.utc),
        "loss_regulariser": start.tags.get(TAG_REGULARISER),
        "rerun": start.tags.get(names.TAG_RERUN),
        "imported_from": start.tags.get(names.TAG_ORIGIN),
    }


def _stage_name(stage: Mapping[str, Any], number: int) -> str:
    found = next((stage[key] for key in STAGE_NAMES if isinstance(stage.get(key), str) and stage[key]), None)
    return found or f"stage {number}"
