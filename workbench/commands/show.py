"""`workbench show`: one run, read from its journal: its curves first, its distinguishing settings, its epochs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime

import click

from workbench import names
from workbench.commands import completers
from workbench.commands.common_options import DEBUG, JSON, STORE
from workbench.commands.direction_options import direction_options
from workbench.commands.list_runs import remark_lines
from workbench.commands.run_columns import without_places
from workbench.security.foreign_files import files_below
from workbench.spec import labels
from workbench.tracking.best import best_values, summary
from workbench.tracking.branch_history import all_rows
from workbench.tracking.journal import first_start
from workbench.tracking.reader_notes import read_notes
from workbench.tracking.rows import EpochRecord, StartRecord
from workbench.tracking.runs import RunState, find_run, read_state
from workbench.tracking.store import Store, find_store
from workbench.train.progress import FIRST, duration, is_detail, values_line

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 40  # epochs drawn as one letter each; longer curves are thinned out


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.option("--settings", is_flag=True, help="List all settings, and where each comes from.")
@STORE
@direction_options
@JSON
@DEBUG
def show(run: str, settings: bool, store: str | None, as_json: bool) -> None:
    """Show one RUN: `study/name:seed`, @last, its record's name or a unique beginning of it, its MLflow id."""
    place = find_store(store)
    name = find_run(place, run)
    if as_json:
        click.echo(json.dumps(summary(place, name)))
        return
    for line in description(place, read_state(place, name), settings):
        click.echo(line)


def description(store: Store, state: RunState, settings: bool = False) -> list[str]:
    """Return the lines that `show` prints."""
    start = state.start
    if start is None:
        return [f"run {state.run}  {state.status}", *remark_lines(state)]
    lines = [*_head(store, state, start), "", *curve_lines(all_rows(state.journal))]
    lines += ["", _apart(store, state, start)]
    lines += (
        _setting_lines(start)
        if settings
        else [f"settings: {len(start.parameters)}, listed by `workbench show {state.run} --settings`"]
    )
    lines += ["", *epoch_lines(state, start), "", *_file_lines(store, state)]
    return [*lines, *remark_lines(state)]


def _head(store: Store, state: RunState, start: StartRecord) -> list[str]:
    end, trunk = state.journal.end, state.journal.trunk
    began = datetime.fromtimestamp(start.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    reason = f": {end.reason}" if end and end.reason else ""
    quick = ", quick" if start.quick else ""
    lines = [
        f"run {state.run}  {start.title}  {state.status}{reason}",
        f"  id {start.id}, seed {start.seed}{quick}, attempt {state.journal.attempt}, began {began} on {start.host}",
    ]
    lines += [f"  branch of run {trunk['run']} after epoch {trunk['epoch']}"] if trunk else []
    again = start.tags.get(names.TAG_RERUN)
    lines += [f"  rerun of run {again}"] if again else []
    question, kept = start.provenance.get("question"), read_notes(store, state.run)
    lines += [f"  {question}"] if question else []
    lines += [f"  note: {kept.note}"] if kept.note else []
    return [*lines, f"  tags: {kept.words()}"] if kept.tags else lines


def curve_lines(rows: Sequence[EpochRecord]) -> list[str]:
    """Return a line a metric: its curve as a row of blocks, its best value with the epoch, its last."""
    best = best_values(rows)
    known = list(dict.fromkeys(name for row in rows for name in row.metrics if not is_detail(name)))
    order = [*(name for name in FIRST if name in known), *(name for name in known if name not in FIRST)]
    width = max((len(name) for name in order), default=0)
    lines = []
    for name in order:
        values = [row.metrics.get(name, math.nan) for row in rows]
        if name in (names.STAGE, names.LEARNING_RATE) or not any(map(math.isfinite, values)):
            continue
        found = f"best {best[name]['value']:.4f} @{best[name]['epoch']}" if name in best else ""
        lines.append(f"{name:<{width}}  {sparkline(values)}  {found:<16}  last {values[-1]:.4f}".rstrip())
    return lines or ["no epoch yet"]


def sparkline(values: Sequence[float]) -> str:
    """Return a curve as a row of blocks, a blank where a value is missing; of a long one every so-manieth."""
    step = max(1, math.ceil(len(values) / CURVE_WIDTH))
    shown = values[::-1][::step][::-1]  # the last value is always among them
    finite = [value for value in shown if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((v - low) * scale)] if math.isfinite(v) else " " for v in shown)


def _apart(store: Store, state: RunState, start: StartRecord) -> str:
    """Return in a line what tells the run from the others of its study."""
    others = [first_start(store.journal(run)) for run in store.runs() if run != state.run]
    alike = [
        other
        for other in others
        if other is not None
        and (other.study, other.quick) == (start.study, start.quick)
        and names.TAG_KIND not in other.tags
    ]
    if not alike:
        return f"the only {'quick ' if start.quick else ''}run of {start.study}"
    distinct = labels.distinguishing([without_places(one.parameters) for one in (start, *alike)])[0]
    words = ", ".join(f"{name} = {labels.value_text(value)}" for name, value in distinct.items())
    many = f"the other {len(alike)} runs" if len(alike) > 1 else "the other run"
    return f"apart from {many} of {start.study}: {words or 'no setting differs'}"


def _setting_lines(start: StartRecord) -> list[str]:
    """Return a line a setting, with what changed it where that was not the spec."""
    lines = ["settings"]
    origins = start.provenance.get("origins", {})
    for key, value in start.parameters.items():
        origin = origins.get(key, "")
        note = f"   ({origin})" if origin not in ("", "spec", "default") else ""
        lines.append(f"  {key} = {labels.value_text(value)}{note}")
    return lines


def epoch_lines(state: RunState, start: StartRecord) -> list[str]:
    """Return one line an epoch, with a heading a stage."""
    lines, stage, trunk = [], 0, state.journal.trunk
    # Runs that were imported earlier have stages without numbers.
    stage_names = {
        int(stage.get("number", at)): str(stage.get("name", ""))
        for at, stage in enumerate(start.stages, start=1)
    }
    if trunk:
        lines.append(f"epochs 1 to {trunk['epoch']} are shared with its trunk, run {trunk['run']}")
    for row in all_rows(state.journal):
        if row.stage != stage:
            stage = row.stage
            lines.append(f"stage {stage}: {stage_names.get(stage, '')}")
        lasted = duration(row.seconds) if math.isfinite(row.seconds) else ""  # unknown of many imported runs
        lines.append(f"  epoch {row.epoch:>3}  {values_line(row.metrics)}  {lasted}".rstrip())
    return lines


def _file_lines(store: Store, state: RunState) -> list[str]:
    lines = [f"journal      {store.journal(state.run)}"]
    for kind, folder in (
        ("checkpoints", store.run_checkpoints(state.run)),
        ("artifacts", store.run_artifacts(state.run)),
        ("tensorboard", store.tensorboard / state.run),
    ):
        if folder.exists():
            files = [str(name) for name in files_below(folder)]
            lines.append(f"{kind:<12} {folder}: {', '.join(files[:8])}{' ...' if len(files) > 8 else ''}")
    return lines
