"""Old histories and logs as finished runs of the store: journal first, views after it, as for any run.

A run's name ends in eight digits of the hash of its content and of how it was understood, so importing
twice changes nothing. The journal holds one row an epoch: of several values within an epoch the last,
and an evaluation's best as `<set>_peak`. The original file, and what was remarked while reading it, are
kept as artifacts: nothing of it is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import Records, is_missing, per_epoch, settings_of
from analysis.sources import Options, expand, read_files
from analysis.sources.mlflow_common import TAG_REGULARISER
from workbench.errors import RecordError
from workbench.names import (
    FINISHED,
    KILLED,
    PEAK_SUFFIX,
    SECONDS,
    STAGE,
    is_evaluation,
    lower_is_better,
    stage_parameter,
)
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import EpochRecord, StartRecord, new_run_name
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views

TAG_IMPORTED = "workbench.imported"  # the hash of an imported run's content
BATCH_PREFIX = "batch_"  # metrics by batch: kept in the original file, no part of a run's epochs
HASHED_BYTES = 1 << 20
PATIENCE_SECONDS = 120.0  # for the views of one imported run


@dataclass(frozen=True)
class Imported:
    """What became of one run: its name in the store, and whether it was there before."""

    run: str
    name: str
    new: bool
    level: bool = True  # whether MLflow and TensorBoard show it already


def import_files(
    items: Sequence[str], store: Store, options: Options, study: str
) -> tuple[list[Imported], Records]:
    """Write every run of the named files into the store; return what became of each, and the records.

    Everything is read before anything is written. Raises `RecordError` or `StoreError`, in one line.
    """
    paths = [path for item in items for path in expand(item) or [_missing(item)]]
    groups = [paths] if options.as_one_run else [[path] for path in paths]
    read = [(group, read_files(group, options)) for group in groups]
    done = []
    for group, records in read:
        _require_epochs(records, group[0])
        content = digest(group, options)
        for number, run in enumerate(records.runs["run"]):
            identity = hashlib.sha256(f"{content}:{number}".encode()).hexdigest()
            done.append(_write(records.only([run]), identity, group, store, study))
    from analysis.frames import concat_epochs

    epochs = concat_epochs([records.epochs for _, records in read])
    notes = tuple(note for _, records in read for note in records.notes)
    return done, Records(pd.concat([records.runs for _, records in read]), epochs, notes)


def _missing(item: str) -> Path:
    raise RecordError("no such file", where=item)


def _require_epochs(records: Records, path: Path) -> None:
    counts = records.epochs["run"].value_counts()
    empty = [run for run in records.runs["run"] if not counts.get(run)]
    if empty:
        raise RecordError(f"run {empty[0]!r} has no epochs", where=path)


def digest(paths: Sequence[Path], options: Options) -> str:
    """Return the SHA-256 of the files' contents and of the options that change what is read of them."""
    found = hashlib.sha256()
    for path in paths:
        for file in members(path):
            found.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(HASHED_BYTES):
                    found.update(block)
    plain = replace(options, names=(), stage_names=())
    found.update(repr(plain).encode() if plain != Options() else b"")
    return found.hexdigest()


def members(path: Path) -> list[Path]:
    """Return a file itself, or all files below a folder."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _write(records: Records, identity: str, paths: Sequence[Path], store: Store, study: str) -> Imported:
    """Write one run; an import that was interrupted is done again as another attempt."""
    facts = {name: None if is_missing(value) else value for name, value in records.runs.iloc[0].items()}
    name = str(facts["name"] or facts["run"])
    ending = f"-{identity[:8]}"
    before = [run for run in store.runs() if run.endswith(ending)]
    if before and read_journal(store.journal(before[0])).end is not None:
        return Imported(before[0], name, new=False)
    moment = facts["started"].timestamp() if facts["started"] is not None else paths[0].stat().st_mtime
    run = before[0] if before else new_run_name(moment)[: -len(ending)] + ending
    store.require_writable()
    tracker = Tracker.open(
        store,
        _start(records, facts, run, name, identity, moment, study),
        texts=_texts(records),
        views=default_views(store),
    )
    try:
        last = moment
        for row in epoch_records(records, moment):
            tracker.epoch(row)
            last = row.time
        for path in paths:
            for file in members(path):
                inner = file.name if file == path else f"{path.name}/{file.relative_to(path).as_posix()}"
                tracker.artifact(f"original/{inner}", text=file.read_bytes())
        killed = facts["status"] == KILLED
        tracker.end(
            FINISHED, "imported; the log was ended by its user" if killed else "imported", moment=last
        )
    finally:
        level = tracker.close(PATIENCE_SECONDS)
    return Imported(run, name, new=True, level=level)


def _start(
    records: Records, facts: dict[str, Any], run: str, name: str, identity: str, moment: float, study: str
) -> StartRecord:
    stages = stage_lengths(records.epochs)
    settings = {key: _parameter(value) for key, value in settings_of(records.runs, seed=False)[0].items()}
    for number, (title, _) in enumerate(stages, start=1):
        if title:
            settings[stage_parameter(number, "name")] = title
    tags = {TAG_IMPORTED: identity, "workbench.origin": str(facts["origin"])}
    if facts["loss_regulariser"]:
        tags[TAG_REGULARISER] = facts["loss_regulariser"]
    return StartRecord(
        run=run,
        time=moment,
        from_epoch=int(records.epochs["epoch"].min()),
        study=study,
        name=name,
        seed=int(facts["seed"] or 0),
        parent=facts["parent"],
        parameters=settings,
        stages=tuple({"name": title, "epochs": epochs} for title, epochs in stages),
        tags=tags,
    )


def stage_lengths(epochs: pd.DataFrame) -> list[tuple[str, int]]:
    """Return (name, epochs) of a run's stages as far as its values go; stages without values have none."""
    found = epochs.groupby("stage")["epoch"].agg(["min", "max"])
    names = epochs.drop_duplicates("stage").set_index("stage")["stage_name"]
    spans = {int(stage): int(row["max"] - row["min"] + 1) for stage, row in found.iterrows()}
    last = max(spans, default=1)
    return [(str(names.get(number) or ""), spans.get(number, 0)) for number in range(1, last + 1)]


def _parameter(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _texts(records: Records) -> dict[str, str]:
    """Return the artifact that says how the file was understood: kinds of values, and every remark."""
    kinds = records.epochs.groupby(["metric", "kind"], observed=True).size()
    content = {
        "origin": str(records.runs["origin"].iloc[0]),
        "values": [{"metric": metric, "kind": kind, "count": int(n)} for (metric, kind), n in kinds.items()],
        "remarks": [
            {"file": n.file, "what": n.what, "count": n.count, "lines": n.lines} for n in records.notes
        ],
    }
    return {"import.json": json.dumps(content, indent=1)}


def epoch_records(records: Records, moment: float) -> Iterator[EpochRecord]:
    """Yield one row an epoch; `moment` is the run's start, and its time is spread over the epochs."""
    epochs = records.epochs[~records.epochs["metric"].astype(str).str.startswith(BATCH_PREFIX)]
    table = per_epoch(epochs).pivot_table(
        index="epoch", columns="metric", values="value", aggfunc="last", observed=True, dropna=False
    )
    steps = epochs.groupby("epoch")["step"].max()
    peaks = _peaks(epochs)
    places = epochs.drop_duplicates("epoch").set_index("epoch")[["stage", "stage_epoch"]]
    there = set(zip(epochs["epoch"], epochs["metric"]))
    total = records.runs["seconds"].iloc[0]
    share = 0.0 if is_missing(total) else unknown_share(epochs, float(total), len(table))
    for epoch, row in table.iterrows():
        metrics = {
            str(name): float(value) for name, value in row.items() if (epoch, name) in there and name != STAGE
        }
        seconds = metrics.pop(SECONDS, share)
        moment += seconds if seconds == seconds else 0.0
        step = steps.get(epoch)
        yield EpochRecord(
            stage=int(places.at[epoch, "stage"]),
            stage_epoch=int(places.at[epoch, "stage_epoch"]),
            epoch=int(epoch),
            step=0 if is_missing(step) else int(step),
            metrics=metrics | peaks.get(epoch, {}),
            seconds=seconds,
            time=moment,
        )


def unknown_share(epochs: pd.DataFrame, total: float, count: int) -> float:
    """Return the seconds of each epoch that has no duration of its own: what the run's total leaves."""
    known = epochs[epochs["metric"] == SECONDS].drop_duplicates("epoch", keep="last")["value"]
    return max(0.0, total - float(known.sum())) / max(count - len(known), 1)


def _peaks(epochs: pd.DataFrame) -> dict[Any, dict[str, float]]:
    """Return the best value of each evaluation within each epoch that has several."""
    found: dict[Any, dict[str, float]] = {}
    sets = [
        name
        for name in epochs["metric"].unique()
        if is_evaluation(name) and not str(name).endswith(PEAK_SUFFIX)
    ]
    rows = epochs[epochs["metric"].isin(sets)]
    groups = rows.groupby(["epoch", "metric"], observed=True)["value"]
    for (epoch, metric), count, low, high in zip(groups.groups, groups.size(), groups.min(), groups.max()):
        if count > 1:
            peak = low if lower_is_better(metric) else high
            found.setdefault(epoch, {})[f"{metric}{PEAK_SUFFIX}"] = float(peak)
    return found
