"""What a report says of a study, section by section: everything of few runs, the ends of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.frames import is_missing, known_settings
from analysis.report import figures, published
from analysis.report.collect import ALL_ROWS, Study
from analysis.report.costs import costs, runs
from analysis.report.page import Block, Page, Section, Table, Text
from analysis.stats import significance
from analysis.tables import summary, verdicts
from analysis.tables.conventions import convention_note
from analysis.tables.render import cell
from workbench.spec import labels

TOP, BOTTOM = 10, 5  # rows shown of more than ALL_ROWS; the rest is folded
COLUMNS = 5  # rows that have a column each in the table of differences
SETTINGS_SHOWN = 4  # columns of settings beside results; more stand in the table of differences only
# Columns that a table of the ends leaves to the full one.
COSTS = ["seconds", "images_per_second", "device_hours"]
VALUES_SHOWN = 6  # distinct values of a setting that are written out


def page(study: Study, folder: Path) -> Page:
    """Return the whole report of a study, links being relative to `folder`."""
    sections = [
        Section("In short", _in_short(study)),
        Section("What differs", _differences(study)),
        Section("Curves", _curves(study)),
        Section("Results", _results(study)),
        Section("Is it noise?", _verdicts(study)),
        *published.section(study),
        Section("Costs", costs(study)),
        Section("Runs", runs(study, folder)),
    ]
    question = study.question or "No question is recorded for this study."
    return Page(study.name, question, sections)


def _in_short(study: Study) -> list[Block]:
    select, metric = study.select, study.metric
    states = study.trained.runs["status"].fillna("unknown").value_counts()
    said = [
        f"{count(len(study.trained.runs), 'run')}: "
        + ", ".join(f"{n} {state}" for state, n in states.items())
        + "."
    ]
    top = study.order()[0]
    row = study.frame.iloc[top]
    epoch = (
        "" if is_missing(row.get("epoch")) else f" at epoch {cell({'epoch': float(row['epoch'])}, 'epoch')}"
    )
    said.append(
        f"Best by {metric}: {row['run']} with {_value_text(study, top)}{epoch}. {_as_good(study, top)}"
    )
    words = study.judged(metric)["verdict"].tolist()
    counts = [
        (words.count(word), word) for word in (significance.BETTER, significance.WORSE, significance.SAME)
    ]
    rest = sum(word.startswith(verdicts.UNKNOWN) for word in words)
    counts.append((rest, verdicts.UNKNOWN))
    if len(words) > 1:
        found = ", ".join(f"{n} {word}" for n, word in counts if n)
        said.append(f"Against the baseline {study.frame['run'].iloc[study.baseline]} on {metric}: {found}.")
    note = verdicts.optimism_note(study.records, study.rows[metric], select, metric)
    said += [words[0].upper() + words[1:] + "." for words in (note, convention_note(study.records)) if words]
    prose = " ".join(study.prose.split())
    return [*([Text([prose])] if prose else []), Text(said, listed=True)]


def _as_good(study: Study, top: int) -> str:
    """Say how many rows are indistinguishable from the best one, and of how many that is not known."""
    own = study.rows[study.metric]
    if len(own) == 1:
        return ""
    alike = len(verdicts.best_rows(own, study.metric)) - 1
    unknown = verdicts.unknown_rows(own, study.metric, own[top])
    said = (
        f"{count(alike, 'other row')} may be as good: the difference is within the noise"
        if alike
        else "No other row is as good"
    )
    if unknown == len(own) - 1:
        said = (
            "Whether that is noise is not known: the other rows cannot be compared with it (see Is it noise?)"
        )
    elif unknown:
        said += f"; of {unknown} that is not known"
    return said + "."


def _value_text(study: Study, position: int) -> str:
    row = study.frame.iloc[position].to_dict()
    row[study.metric] = float(row[study.metric])
    text = cell(row, study.metric)
    low, high = verdicts.interval(study.rows[study.metric][position])
    pairs = study.rows[study.metric][position].pairs
    return text if is_missing(low) else f"{text} (95 % interval {low:.4f} to {high:.4f} from {pairs} pairs)"


def count(number: int, thing: str) -> str:
    """Return a number with its thing, in the plural where it is not one."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _differences(study: Study) -> list[Block]:
    """Return the settings that differ: a column a row where they are few, else the values and their counts."""
    settings = summary.differing_settings(study.records.runs)
    firsts = [study.records.runs["run"].tolist().index(runs[0]) for runs in study.members]
    blocks: list[Block] = []
    if settings and len(firsts) <= COLUMNS:
        names = study.frame["run"]
        table = [
            {"setting": name, **{row: labels.value_text(column[at]) for row, at in zip(names, firsts)}}
            for name, column in settings.items()
        ]
        blocks.append(Table(pd.DataFrame(table)))
    elif settings:
        rows = [
            {"setting": name, "values (rows)": _values([v[at] for at in firsts])}
            for name, v in settings.items()
        ]
        blocks.append(Table(pd.DataFrame(rows)))
    else:
        blocks.append(Text(["The recorded settings do not differ; the runs are told apart by name or seed."]))
    known = known_settings(study.records.runs)
    differing = set(labels.differing(known))
    common = [name for name in dict.fromkeys(n for row in known for n in row) if name not in differing]
    if common:
        table = [{"setting": name, "value": labels.value_text(known[0].get(name))} for name in common]
        blocks.append(Table(pd.DataFrame(table), fold=f"{count(len(common), 'setting')} in common"))
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
    many = len(study.frame) > figures.LINES_TOLD_APART
    return [figures.curves(study), *([figures.distribution(study)] if many else [])]


def _results(study: Study) -> list[Block]:
    bold = {study.metric: verdicts.best_rows(study.rows[study.metric], study.metric)}
    text = f"The epoch of every row is that of its best {study.select}"
    text += "; bold is the best and all that is not distinguishable from it." if len(study.frame) > 1 else "."
    blocks: list[Block] = [Text([text])]
    if len(study.frame) <= ALL_ROWS:
        return [*blocks, _sorted(study, _without_settings(study), bold, lambda order: order)]
    blocks.append(Table(_spread(study)))
    blocks.append(Text([f"The best {TOP} and the last {BOTTOM} of {len(study.frame)} rows:"]))
    narrow = _without_settings(study).drop(columns=COSTS, errors="ignore")
    blocks.append(_sorted(study, narrow, bold, _first_and_last))
    whole = _sorted(study, study.frame, bold, lambda order: order)
    return [*blocks, Table(whole.frame, whole.bold, fold=f"All {len(study.frame)} rows")]


def _without_settings(study: Study) -> pd.DataFrame:
    """Return the rows without their settings where these would push the results off the page."""
    shown = summary.metrics_shown(study.records, study.select)
    settings = [n for n in summary.differing_settings(study.records.runs, shown) if n in study.frame]
    return study.frame.drop(columns=settings) if len(settings) > SETTINGS_SHOWN else study.frame


def _first_and_last(order: list[int]) -> list[int]:
    return order if len(order) <= ALL_ROWS else [*order[:TOP], *order[-BOTTOM:]]


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
        f"Each row against the baseline {name}: the difference, and from where to where it may lie (95 % "
        "interval). p is how often chance alone would make a difference as large, corrected for the number of rows "
        "(Holm): of 100 tables of pure noise at most 5 hold a wrong verdict. Low and high say where the value itself "
        "may lie, from its number of pairs."
    )
    blocks: list[Block] = [Text([intro])]
    for metric in study.rows:
        frame = study.judged(metric).drop(columns="run")
        frame.insert(0, "run", study.frame["run"])
        # what that does to the ranked metric stands in the first section
        chosen_here = metric in (study.select, study.metric)
        note = "" if chosen_here else f"; the epochs were chosen on {study.select}"
        counts = frame["verdict"].value_counts()
        said = f"{metric}: " + ", ".join(
            f"{n} {word}" for word, n in counts.items() if word != verdicts.BASELINE
        )
        blocks.append(Text([said + note + "."]))
        frame = frame.dropna(axis="columns", how="all")
        if (frame["test"] == "").all():
            frame = frame.drop(columns="test")
        order = verdicts.best_first(frame[metric], metric)
        if study.baseline in order[TOP:-BOTTOM] and len(order) > ALL_ROWS:
            ends = sorted([*_first_and_last(order), study.baseline], key=order.index)
        else:
            ends = _first_and_last(order)
        blocks.append(Table(frame.iloc[ends].reset_index(drop=True)))
        if len(ends) < len(order):
            blocks.append(
                Table(frame.iloc[order].reset_index(drop=True), fold=f"All {len(order)} rows of {metric}")
            )
    return blocks
