"""What a report says of a study, section by section: everything of few runs, the ends of many."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import significance, tables, verdicts
from analysis.frames import is_missing, known_settings, run_labels
from analysis.render import cell, clock
from analysis.report import pictures
from analysis.report.blocks import Block, Links, Page, Section, Table, Text
from analysis.report.study import Study, mlflow_pages
from workbench import labels
from workbench.names import lower_is_better

ALL_ROWS = 30  # so many rows are shown in full; of more the first TOP and the last BOTTOM, the rest folded
TOP, BOTTOM = 10, 5
VALUES_SHOWN = 6  # distinct values of a setting that are written out
UI_ADDRESS = "http://127.0.0.1:5000/"  # where `workbench ui` shows MLflow unless told otherwise


def page(study: Study, folder: Path) -> Page:
    """Return the whole report of a study, links being relative to `folder`."""
    sections = [
        Section("In short", _short(study)),
        Section("What differs", _differences(study)),
        Section("Curves", _curves(study)),
        Section("Results", _results(study)),
        Section("Is it noise?", _verdicts(study)),
        Section("Costs", _costs(study)),
        Section("Runs", _runs(study, folder)),
    ]
    question = study.question or "No question is recorded for this study."
    return Page(study.name, question, sections)


def _short(study: Study) -> list[Block]:
    runs, select = study.records.runs, study.select
    states = runs["status"].fillna("unknown").value_counts()
    said = [f"{_count(len(runs), 'run')}: " + ", ".join(f"{n} {state}" for state, n in states.items()) + "."]
    top = study.order()[0]
    row = study.frame.iloc[top]
    alike = [place for place in verdicts.best_rows(study.rows[select], select) if place != top]
    same = (
        "no other row is"
        if not alike
        else f"{_count(len(alike), 'other row')} {'is' if len(alike) == 1 else 'are'}"
    )
    epoch = "" if is_missing(row["epoch"]) else f" at epoch {cell({'epoch': float(row['epoch'])}, 'epoch')}"
    said.append(
        f"Best by {select}: {row['run']} with {_shown(study, top)}{epoch}; {same} indistinguishable from it."
    )
    words = study.judged(select)["verdict"].tolist()
    counts = [
        (words.count(word), word) for word in (significance.BETTER, significance.WORSE, significance.SAME)
    ]
    rest = sum(word.startswith(verdicts.UNKNOWN) for word in words)
    counts.append((rest, verdicts.UNKNOWN))
    if len(words) > 1:
        found = ", ".join(f"{n} {word}" for n, word in counts if n)
        said.append(f"Against the baseline {study.frame['run'].iloc[study.baseline]} on {select}: {found}.")
    note = verdicts.optimism_note(study.records, study.rows[select], select, select)
    said += [note[0].upper() + note[1:] + "."] if note else []
    prose = " ".join(study.prose.split())
    return [*([Text([prose])] if prose else []), Text(said, listed=True)]


def _shown(study: Study, position: int) -> str:
    row = study.frame.iloc[position].to_dict()
    row[study.select] = float(row[study.select])
    text = cell(row, study.select)
    low, high = verdicts.interval(study.rows[study.select][position])
    pairs = study.rows[study.select][position].pairs
    return text if is_missing(low) else f"{text} (95 % interval {low:.4f} to {high:.4f} from {pairs} pairs)"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _differences(study: Study) -> list[Block]:
    rows = known_settings(study.records.runs)
    differing = labels.differing(rows)
    blocks: list[Block] = []
    if differing:
        short = labels.short_names(differing, dict.fromkeys(name for row in rows for name in row))
        table = [
            {"setting": short[name], "values": _values([row.get(name) for row in rows])} for name in differing
        ]
        blocks.append(Table(pd.DataFrame(table)))
    else:
        blocks.append(Text(["The recorded settings do not differ; the runs are told apart by name or seed."]))
    common = [name for name in dict.fromkeys(n for row in rows for n in row) if name not in set(differing)]
    if common:
        table = [{"setting": name, "value": labels.value_text(rows[0].get(name))} for name in common]
        blocks.append(Table(pd.DataFrame(table), fold=f"{_count(len(common), 'setting')} in common"))
    return blocks


def _values(values: Sequence[object]) -> str:
    """Return the distinct values with how many runs have them, or their range where they are many."""
    counts = pd.Series([labels.value_text(value) for value in values]).value_counts(sort=False)
    if len(counts) <= VALUES_SHOWN:
        return ", ".join(f"{text} ({n})" for text, n in counts.items())
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(values):
        return f"{len(counts)} values from {labels.value_text(min(numbers))} to {labels.value_text(max(numbers))}"
    return f"{len(counts)} values: " + ", ".join(map(str, counts.index[:VALUES_SHOWN])) + " ..."


def _curves(study: Study) -> list[Block]:
    blocks: list[Block] = [pictures.curves(study)]
    if len(study.frame) > pictures.LINES_TOLD_APART:
        blocks.append(pictures.distribution(study))
    return blocks


def _results(study: Study) -> list[Block]:
    bold = {study.select: verdicts.best_rows(study.rows[study.select], study.select)}
    text = f"The epoch of every row is that of its best {study.select}"
    text += "; bold is the best and all that is not distinguishable from it." if len(study.frame) > 1 else "."
    blocks: list[Block] = [Text([text])]
    if len(study.frame) <= ALL_ROWS:
        return [*blocks, _sorted(study, study.frame, bold, lambda order: order)]
    blocks.append(Table(_spread(study)))
    blocks.append(Text([f"The best {TOP} and the last {BOTTOM} of {len(study.frame)} rows:"]))
    narrow = study.frame.drop(columns=_crowd(study.frame))
    blocks.append(_sorted(study, narrow, bold, _ends))
    whole = _sorted(study, study.frame, bold, lambda order: order)
    return [*blocks, Table(whole.frame, whole.bold, fold=f"All {len(study.frame)} rows")]


def _ends(order: list[int]) -> list[int]:
    return order if len(order) <= ALL_ROWS else [*order[:TOP], *order[-BOTTOM:]]


def _crowd(frame: pd.DataFrame) -> list[str]:
    """Return the columns that a table of the ends leaves to the full one: times and speeds."""
    return [name for name in ("seconds", "images_per_second", "device_hours") if name in frame]


def _sorted(
    study: Study, frame: pd.DataFrame, bold: dict[str, list[int]], choose: Callable[[list[int]], list[int]]
) -> Table:
    """Return some rows, the best first, with their ranks."""
    order = study.order()
    rank = {position: number for number, position in enumerate(order, start=1)}
    chosen = choose(order)
    shown = frame.iloc[chosen].reset_index(drop=True)
    if len(order) > 1:
        shown.insert(0, "rank", [rank[position] for position in chosen])
    marked = {
        name: [chosen.index(position) for position in there if position in set(chosen)]
        for name, there in bold.items()
    }
    return Table(shown, marked)


def _spread(study: Study) -> pd.DataFrame:
    """Return the quantiles of every judged metric over all rows."""
    rows = []
    for metric, own in study.rows.items():
        values = np.array([row.value for row in own])
        values = values[np.isfinite(values)]
        if len(values):
            points = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            names = ("lowest", "lower quarter", "median", "upper quarter", "highest")
            rows.append({"metric": metric, "rows": len(values), **dict(zip(names, points.tolist()))})
    return pd.DataFrame(rows)


def _verdicts(study: Study) -> list[Block]:
    if len(study.frame) == 1:
        return [Text(["One row only: there is nothing to compare it with."])]
    name = study.frame["run"].iloc[study.baseline]
    intro = (
        f"Every row against the baseline {name}. Difference with its 95 % interval; p after Holm's correction over "
        "the rows of a table, so that a table of nothing but noise holds a false call in at most 5 of 100 cases. "
        "Low and high are the 95 % interval of the value itself from its number of pairs."
    )
    blocks: list[Block] = [Text([intro])]
    for metric in study.rows:
        frame = study.judged(metric).drop(columns="run")
        frame.insert(0, "run", study.frame["run"])
        note = verdicts.optimism_note(study.records, study.rows[metric], study.select, metric)
        counts = frame["verdict"].value_counts()
        said = f"{metric}: " + ", ".join(
            f"{n} {word}" for word, n in counts.items() if word != verdicts.BASELINE
        )
        blocks.append(Text([said + (f"; {note}." if note else ".")]))
        frame = frame.dropna(axis="columns", how="all").drop(columns=_empty(frame))
        sign = 1 if lower_is_better(metric) else -1
        order = (frame[metric] * sign).argsort(kind="stable").tolist()
        if study.baseline in order[TOP:-BOTTOM] and len(order) > ALL_ROWS:
            ends = sorted([*_ends(order), study.baseline], key=order.index)
        else:
            ends = _ends(order)
        blocks.append(Table(frame.iloc[ends].reset_index(drop=True)))
        if len(ends) < len(order):
            blocks.append(
                Table(frame.iloc[order].reset_index(drop=True), fold=f"All {len(order)} rows of {metric}")
            )
    return blocks


def _empty(frame: pd.DataFrame) -> list[str]:
    return ["test"] if (frame["test"] == "").all() else []


def _costs(study: Study) -> list[Block]:
    frame, runs = study.frame, study.records.runs
    seconds = runs["seconds"].dropna()
    if seconds.empty:
        return [Text(["No run has recorded how long it took."])]
    said = [
        f"{clock(float(seconds.sum()))} in all"
        + (f" of {len(seconds)} of {len(runs)} runs" if len(seconds) < len(runs) else "")
    ]
    if "device_hours" in frame:
        said.append(f"{frame['device_hours'].sum():.2f} device hours")
    if len(seconds) > 1:
        said.append(
            f"a run takes {clock(float(seconds.median()))} (median), at most {clock(float(seconds.max()))}"
        )
    stages = tables.per_stage(study.records)
    fold = "" if len(stages) <= ALL_ROWS else f"All {len(stages)} stages"
    return [Text(["; ".join(said) + "."]), Table(stages, fold=fold)]


def _runs(study: Study, folder: Path) -> list[Block]:
    shown, pages = run_labels(study.records.runs), mlflow_pages(study.store)
    rows = []
    for run, name, status in study.records.runs[["run", "name", "status"]].itertuples(index=False, name=None):
        title = shown[run] if is_missing(name) or shown[run] == name else f"{name} ({shown[run]})"
        rows.append((title, f"{run}, {status}", _addresses(study, str(run), pages, folder)))
    ui = "Links to MLflow work while `workbench ui` runs here; the others lead into the folder of records."
    fold = "" if len(rows) <= ALL_ROWS else f"All {len(rows)} runs"
    notes = [str(note) for note in study.records.notes]
    blocks: list[Block] = [Text([ui]), Links(rows, fold)]
    if notes:
        blocks.append(Text([f"Remarks made while reading: {'; '.join(notes[:VALUES_SHOWN])}"]))
    return [*blocks, Text([f"Partial: {study.records.partial}"])] if study.records.partial else blocks


def _addresses(study: Study, run: str, pages: dict[str, str], folder: Path) -> list[tuple[str, str]]:
    found = []
    for text, path in (
        ("journal", study.store.journal(run)),
        ("artifacts", study.store.run_artifacts(run)),
        ("spec", study.store.run_artifacts(run) / "spec.py"),
    ):
        if path.exists():
            found.append((text, Path(os.path.relpath(path, folder)).as_posix()))
    if run in pages:
        server = UI_ADDRESS if study.store.is_local else f"{study.store.uri}/"
        found.append(("MLflow", server + pages[run]))
    return found
