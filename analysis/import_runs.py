"""Old histories and logs as finished runs of the store: journal first, views after it, as for any run.

A run's name ends in eight digits of the hash of its content and of how it was understood, so importing
twice changes nothing. The journal holds one row an epoch: of several values within an epoch the last,
and an evaluation's best as `<set>_peak`. The original file, and what was remarked while reading it, are
kept as artifacts: nothing of it is lost.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import Note, Records, concat_epochs, is_missing, per_epoch, settings_of
from analysis.import_sources import Source, identity_of, keep_originals, own_folder, sources_of
from analysis.sources import Options
from analysis.sources.mlflow_common import TAG_REGULARISER
from workbench import names
from workbench.errors import RecordError
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import EpochRecord, StartRecord, new_run_name
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views

BATCH_PREFIX = "batch_"  # metrics by batch: kept in the original file, no part of a run's epochs
PATIENCE_SECONDS = 120.0  # for the views of one imported run


@dataclass(frozen=True)
class Imported:
    """What became of one run: its name in the store, and whether it was there before."""

    run: str
    name: str
    new: bool
    level: bool = True  # whether MLflow and TensorBoard show it already


def import_files(
    items: Sequence[str], store: Store, options: Options, study: str, settings: Settings | None = None
) -> tuple[list[Imported], Records]:
    """Write every run of the named files into the store; return what became of each, and the records.

    `settings` gives the settings of a run by its file and name, over those that the file states.
    Everything is read before anything is written. Raises `RecordError` or `StoreError`, in one line.
    """
    plain = replace(options, names=())
    sources = [source for item in items for source in sources_of(item, options.as_one_run, store)]
    if options.as_one_run:
        sources = [Source([path for source in sources for path in source.paths])]
    # All before anything is written: a file that cannot be read must not leave half an import behind.
    read = [(source, _with_epochs(source.read(plain), source.where)) for source in sources]
    if options.names:
        read = _named(read, options.names)
    written = [
        _write(records.only([run]), source, number, options, Given(store, study, settings or {}))
        for source, records in read
        for number, run in enumerate(records.runs["run"])
    ]
    epochs = concat_epochs([records.epochs for _, records in read])
    notes = tuple(note for _, records in read for note in records.notes)
    return written, Records(pd.concat([records.runs for _, records in read]), epochs, notes)


# By a file's name, its stem or a run's name; "" for all.
Settings = Mapping[str, Mapping[str, str | int | float | bool]]


@dataclass(frozen=True)
class Given:
    """Where runs are written, and what the user says of them."""

    store: Store
    study: str
    settings: Settings


def _with_epochs(records: Records, where: str) -> Records:
    """Return the records without runs that have no epoch, each reported; raises `RecordError` where none has one."""
    counts = records.epochs["run"].value_counts()
    empty = [run for run in records.runs["run"] if not counts.get(run)]
    if len(empty) == len(records.runs):
        said = "; ".join(str(note) for note in records.notes[:3])
        raise RecordError(f"no run in it has an epoch{f' ({said})' if said else ''}", where=where)
    if not empty:
        return records
    kept = records.only([run for run in records.runs["run"] if run not in empty])
    notes = [Note(where, f"run {run} has no epochs, left out") for run in empty]
    return replace(kept, notes=(*records.notes, *notes))


def _named(read: Sequence[tuple[Source, Records]], titles: Sequence[str]) -> list[tuple[Source, Records]]:
    """Give all runs of all files the names, in order; raises `RecordError` where there are more or fewer."""
    count = sum(len(records.runs) for _, records in read)
    if count != len(titles):
        raise RecordError(
            f"{len(titles)} names for {count} runs", where="--name", expected="one for each run"
        )
    given, named = iter(titles), []
    for source, records in read:
        runs = records.runs.assign(name=[next(given) for _ in range(len(records.runs))])
        named.append((source, replace(records, runs=runs)))
    return named


def _write(records: Records, source: Source, number: int, options: Options, given: Given) -> Imported:
    """Write one run; an import that was interrupted is done again as another attempt."""
    facts = {name: None if is_missing(value) else value for name, value in records.runs.iloc[0].items()}
    name, store = str(facts["name"] or facts["run"]), given.store
    settings = settings_for(given.settings, source.paths, name)
    own = own_folder(records, source)
    identity = identity_of(records, source, own, number, options, settings)
    ending = f"-{identity[:8]}"
    # By content, not by name: a file that was moved is known again, and one that has grown is another run.
    before = [run for run in store.runs() if run.endswith(ending)]
    if before and read_journal(store.journal(before[0])).end is not None:
        return Imported(before[0], name, new=False)
    moment = facts["started"].timestamp() if facts["started"] is not None else _modified(source)
    run = before[0] if before else new_run_name(moment)[: -len(ending)] + ending
    store.require_writable()
    tracker = Tracker.open(
        store,
        _start(records, facts, run, name, identity, moment, given.study, settings),
        texts=_texts(records),
        views=default_views(store),
    )
    try:
        last, final = moment, 0
        for row in epoch_records(records, moment):
            tracker.epoch(row)
            last, final = row.time, row.epoch
        keep_originals(tracker, source, own)
        tracker.end(*_end(facts["status"]), moment=last, final_epoch=final)
    finally:
        level = tracker.close(PATIENCE_SECONDS)
    return Imported(run, name, new=True, level=level)


def _modified(source: Source) -> float:
    return source.paths[0].stat().st_mtime if source.paths else time.time()


def _end(status: Any) -> tuple[str, str]:
    """Return how the record of an imported run ends: as its own record says.

    A log that its user ended is that of a training that was let go as far as it was wanted to.
    """
    if status == names.KILLED:
        return names.FINISHED, "imported; the log was ended by its user"
    if status in (names.FAILED, names.STOPPED):
        return str(status), f"imported; its record says {status}"
    if status in (names.RUNNING, names.INTERRUPTED):
        return names.INTERRUPTED, "imported; its record does not say that it ended"
    return names.FINISHED, "imported"


def _start(
    records: Records,
    facts: dict[str, Any],
    run: str,
    name: str,
    identity: str,
    moment: float,
    study: str,
    given: Mapping[str, Any],
) -> StartRecord:
    stages = stage_lengths(records.epochs)
    settings = {key: _parameter(value) for key, value in settings_of(records.runs, seed=False)[0].items()}
    for number, (title, _) in enumerate(stages, start=1):
        if title:
            settings[names.stage_parameter(number, "name")] = title
    settings |= given
    seed = settings.pop("seed", facts["seed"] or 0)
    tags = {names.TAG_IMPORTED: identity, names.TAG_ORIGIN: str(facts["origin"])}
    if facts["loss_regulariser"]:
        tags[TAG_REGULARISER] = facts["loss_regulariser"]
    metrics = [str(metric) for metric in records.epochs["metric"].unique()]
    for tag, side in ((names.TAG_LOWER, names.LOWER), (names.TAG_HIGHER, names.HIGHER)):
        said = [metric for metric in metrics if names.user_directions().get(metric) == side]
        tags |= {tag: ",".join(said)} if said else {}
    return StartRecord(
        run=run,
        time=moment,
        from_epoch=int(records.epochs["epoch"].min()),
        study=study,
        name=name,
        seed=int(seed) if str(seed).isdigit() else 0,
        parent=facts["parent"],
        parameters=settings,
        stages=tuple(
            {"number": number, "name": title, "epochs": epochs}
            for number, (title, epochs) in enumerate(stages, start=1)
        ),
        tags=tags,
    )


def settings_for(settings: Settings, paths: Sequence[Path], name: str) -> dict[str, str | int | float | bool]:
    """Return the settings that are given for a run: those for all, for its file (by path, name or stem), for its name."""
    of_files = [(path.stem.removesuffix("_hist"), path.stem, path.name, str(path)) for path in paths]
    keys = ["", *(key for own in of_files for key in own), name]
    return {setting: value for key in keys for setting, value in settings.get(key, {}).items()}


def stage_lengths(epochs: pd.DataFrame) -> list[tuple[str, int]]:
    """Return (name, epochs) of a run's stages as far as its values go; stages without values have none."""
    found = epochs.groupby("stage")["epoch"].agg(["min", "max"])
    titles = epochs.drop_duplicates("stage").set_index("stage")["stage_name"]
    spans = {int(stage): int(row["max"] - row["min"] + 1) for stage, row in found.iterrows()}
    last = max(spans, default=1)
    return [(str(titles.get(number) or ""), spans.get(number, 0)) for number in range(1, last + 1)]


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
    share = math.nan if is_missing(total) else unknown_share(epochs, float(total), len(table))
    for epoch, row in table.iterrows():
        metrics = {
            str(name): float(value)
            for name, value in row.items()
            if (epoch, name) in there and name != names.STAGE
        }
        seconds = metrics.pop(names.SECONDS, share)
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
    known = epochs[epochs["metric"] == names.SECONDS].drop_duplicates("epoch", keep="last")["value"]
    return max(0.0, total - float(known.sum())) / max(count - len(known), 1)


def _peaks(epochs: pd.DataFrame) -> dict[Any, dict[str, float]]:
    """Return the best value of each evaluation within each epoch that has several."""
    found: dict[Any, dict[str, float]] = {}
    several = epochs[epochs.duplicated(["epoch", "metric"], keep=False)]
    sets = [name for name in several["metric"].unique() if names.is_evaluation(name)]
    rows = several[several["metric"].isin(sets) & several["value"].notna()]
    for (epoch, metric), values in rows.groupby(["epoch", "metric"], observed=True)["value"]:
        peak = values.loc[names.best_label(values, metric)]
        found.setdefault(epoch, {})[f"{metric}{names.PEAK_SUFFIX}"] = float(peak)
    return found
