"""The tables of a comparison: one row a run or a group of seeds, and the record of every stage.

Computing (`summary`, `per_stage`: frames in, a frame out, unrounded) is apart from writing (`render`).
A best value is the first best one and never a NaN; epochs are 1-based.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import (
    Records,
    best,
    is_missing,
    known_settings,
    run_labels,
    setting_columns,
    settings_of,
)
from analysis.stats.loss_axes import loss_meanings
from analysis.stats.mean_ci import mean_and_interval
from workbench.errors import RecordError, suggestion
from workbench.names import (
    ACCURACY,
    IMAGES_PER_SECOND,
    LOSS,
    SECONDS,
    direction,
    is_evaluation,
    metric_that_counts,
    no_direction,
    of_unknown_direction,
)
from workbench.spec import labels

DEVICE_COUNTS = ("devices.count", "devices.gpus", "num_gpus", "ctx_num")  # settings that count devices
STAGE_SETTING = re.compile(r"stages\.(\d+)\.(.+)")


def default_metric(records: Records) -> str:
    """Return the metric that chooses the best epoch: what the runs say (`select`), else the usual ones."""
    known = list(records.epochs["metric"].unique())
    found = metric_that_counts(known, records.runs.get("select", ()))
    if found is None and known:
        raise RecordError(no_direction(*(of_unknown_direction(known) or known)))
    if found is None:
        raise RecordError("runs with no epochs: there is nothing to compare")
    return found


def compared_metric(records: Records, select: str) -> str:
    """Return what rows are judged by: `select`, or the last evaluation set where that is none.

    An epoch may be chosen by training accuracy so that the test set chooses nothing; what is asked is the test set.
    """
    sets = [name for name in metrics_shown(records, select) if is_evaluation(name)]
    return sets[-1] if sets and not is_evaluation(select) else select


def metrics_shown(records: Records, select: str) -> list[str]:
    """Return the metrics of a summary: the chosen one, the other evaluation sets, accuracy and loss."""
    known = list(records.epochs["metric"].unique())
    sets = [name for name in known if is_evaluation(name)]
    return list(dict.fromkeys([select, *sets, *(name for name in (ACCURACY, LOSS) if name in known)]))


def summary(records: Records, select: str | None = None) -> pd.DataFrame:
    """Return one row a run, or a group of runs that differ in their seed alone.

    Columns: `run` (its name), the settings that differ under short names, `<select>`, `epoch` and `stage`
    of its best value, the other metrics at that epoch, `seconds`, `images_per_second`, `device_hours`.
    Where there are groups, `seeds` counts them, values are means, and `<metric> ±` is the half width of
    the 95 % interval of the mean. Runs without the metric have missing values.
    Raises `RecordError` for an unknown metric and where no run has an epoch.
    """
    select = select or default_metric(records)
    known = records.epochs["metric"].unique()
    if select not in known:
        raise RecordError(f"no metric {select!r}", do=suggestion(select, known))
    metrics = metrics_shown(records, select)
    single = at_best_epoch(records, select, metrics)
    groups = seed_groups(records.runs)
    settings = differing_settings(records.runs, metrics)  # a setting `loss` is not the metric of that name
    names = [
        run if is_missing(name) else name for run, name in zip(records.runs["run"], records.runs["name"])
    ]
    alone = single.to_dict("records")
    rows = []
    for members in groups:
        first = members[0]
        row = {"run": str(names[first]), **{key: cells[first] for key, cells in settings.items()}}
        row |= (
            _seeds_as_one(single.loc[members], metrics) if len(members) > 1 else {"seeds": 1, **alone[first]}
        )
        rows.append(row)
    frame = pd.DataFrame(rows)
    order = ["run", *settings, *(["seeds"] if len(groups) < len(records.runs) else []), select]
    order += [name for name in (f"{select} ±", "epoch", "stage") if name in frame]
    rest = [name for name in frame.columns if name not in order and name != "seeds"]
    for name in ("epoch", "stage"):
        if (frame[name].dropna() % 1 == 0).all():
            frame[name] = frame[name].astype("Int64")
    meaning = loss_meanings(records.runs)
    if LOSS in metrics and len({said for said in meaning.values() if said}) > 1:  # two things of one name
        rest.insert(rest.index(LOSS) + 1 if LOSS in rest else 0, "regulariser")
        frame["regulariser"] = [
            meaning[records.runs["run"].iloc[members[0]]] or "unknown" for members in groups
        ]
    if records.folded:
        rest = _with_folds(frame, records, groups, metrics) + rest
    kept = [name for name in [*order, *rest] if name == select or not frame[name].isna().all()]
    return frame[kept]


def with_states(frame: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return a summary with `seed` (`0`, or `0, 1, 2` of a group), `status` (of a group how many are what),
    and `quick` where there are runs of `--quick`."""
    states = pd.DataFrame([_states(runs.iloc[members]) for members in seed_groups(runs)], index=frame.index)
    present = [name for name in states if name not in frame and not states[name].isna().all()]
    return pd.concat([frame, states[present]], axis="columns")


def _states(runs: pd.DataFrame) -> dict[str, str | None]:
    ours = runs[runs["id"].notna()]  # the state of a file is its reader's guess
    seeds = [str(seed) for seed in runs["seed"] if not is_missing(seed)]
    states = Counter(str(status) for status in ours["status"] if not is_missing(status))
    words = [f"{count} {status}" if len(states) > 1 else status for status, count in states.items()]
    quick = any(bool(flag) for flag in runs["quick"] if not is_missing(flag))
    return {
        "seed": ", ".join(seeds) or None,
        "status": ", ".join(words) or None,
        "quick": "quick" if quick else None,
    }


def _with_folds(
    frame: pd.DataFrame, records: Records, groups: Sequence[Sequence[int]], metrics: Sequence[str]
) -> list[str]:
    """Add columns to `frame`: how many folds a row stands for, and the standard error of each set over them."""
    found = [records.folded.get(str(records.runs["run"].iloc[members[0]]), {}) for members in groups]
    sets = [name for name in metrics if any(name in own for own in found)]
    frame["folds"] = [max((len(one.numbers) for one in own.values()), default=1) for own in found]
    for name in sets:
        alone = [len(members) == 1 and name in own for members, own in zip(groups, found, strict=True)]
        values = [own[name].standard_error if one else np.nan for own, one in zip(found, alone, strict=True)]
        frame[f"{name} SE"] = values
    return ["folds", *(f"{name} SE" for name in sets)]


def seed_groups(runs: pd.DataFrame) -> list[list[int]]:
    """Return the positions of runs that differ in their seed or fold alone, in first-seen order.

    Runs are alike when they have one identity, or where that is unknown, equal settings that are not
    none; a run that repeats a seed of its group stands alone, as a rerun does. A `--quick` run is never
    alike with another: its epochs were cut short.
    """
    groups: dict[Any, list[int]] = {}
    seen: set[Any] = set()
    settings = settings_of(runs, seed=False)
    none = pd.Series([None] * len(runs), dtype=object)
    recipes, folds = runs.get("fold.recipe", none), runs.get("fold", none)
    facts = zip(
        runs["id"], runs["study"], runs["seed"], runs["rerun"], recipes, folds, runs["quick"].eq(True)
    )
    for position, (identity, study, seed, original, recipe, fold, quick) in enumerate(facts):
        identity = identity if is_missing(recipe) else recipe
        own = tuple(sorted((name, labels.value_text(value)) for name, value in settings[position].items()))
        alike = (str(study), own if is_missing(identity) else identity, quick)
        known = not is_missing(seed) and (own or not is_missing(identity))
        key = alike if known and is_missing(original) else ("alone", position)
        which = (key, seed, None if is_missing(fold) else fold)
        if which in seen:
            key = ("alone", position)
        seen.add(which)
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def differing_settings(runs: pd.DataFrame, taken: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return the settings that differ as columns under their short names, none of which is one of those `taken`.

    Where runs differ in their number of stages, a stage that some lack is shown by its loss alone, unless
    those that have it differ in more. Of parts of several classes (losses, optimizers) the class is shown, and
    those of their settings in which runs differ that have them.
    """
    rows = known_settings(runs)
    chosen = [name for name in labels.differing(rows) if not _only_missing(name, rows)]
    whole = {name.rpartition(".")[0] for name in chosen if name.rpartition(".")[2].isdigit()}
    chosen = [name for name in chosen if name not in whole]  # `units.1` of a sweep says what `units` says
    chosen = [name for name in chosen if not _follows_from_class(name, chosen, rows)]
    short = labels.short_names(chosen, [*setting_columns(runs), *taken])
    return {short[name]: [row.get(name) for row in rows] for name in chosen}


def _only_missing(name: str, rows: Sequence[dict[str, Any]]) -> bool:
    """Tell whether a stage's setting differs only because some runs do not have that stage."""
    match = STAGE_SETTING.fullmatch(name)
    if match is None or match[2] == LOSS:
        return False
    there = [row for row in rows if f"stages.{match[1]}.{LOSS}" in row]
    return len(there) < len(rows) and len({labels.value_text(row.get(name)) for row in there}) == 1


def _follows_from_class(name: str, chosen: Sequence[str], rows: Sequence[dict[str, Any]]) -> bool:
    """Tell whether a shown class says what a setting of it is: then the class tells the runs apart, not a
    number that means another thing in another class."""
    words = name.split(".")
    above = [".".join(words[:count]) for count in range(len(words) - 1, 0, -1)]
    part = next((parent for parent in above if parent in chosen), None)
    if part is None:
        return False
    values: dict[str, set[str]] = {}
    for row in rows:
        values.setdefault(labels.value_text(row.get(part)), set()).add(labels.value_text(row.get(name)))
    return all(len(own) == 1 for own in values.values())


def at_best_epoch(records: Records, select: str, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the chosen epoch of every run by position: metrics, epoch, stage, time, speed, cost."""
    order = {run: position for position, run in enumerate(records.runs["run"])}
    chosen = best(records.epochs, select).set_index("run")
    frame = pd.DataFrame(index=list(order))
    by_metric = records.epochs.groupby("metric", observed=True)
    for name in metrics:
        frame[name] = chosen["value"] if name == select else _values_at(by_metric.get_group(name), chosen)
    frame["epoch"], frame["stage"] = chosen["epoch"], chosen["stage"]
    frame["seconds"] = dict(zip(records.runs["run"], records.runs["seconds"]))
    frame[IMAGES_PER_SECOND] = speeds(records)
    devices = pd.Series([_devices(row) for row in settings_of(records.runs)], index=list(order))
    frame["device_hours"] = frame["seconds"] * devices / 3600
    return frame.reset_index(drop=True)


def _values_at(rows: pd.DataFrame, chosen: pd.DataFrame) -> pd.Series:
    """Return one metric's `rows` at each run's chosen epoch; of several there, the one at the same step."""
    when = chosen["epoch"].reindex(rows["run"]).to_numpy()
    rows = rows[rows["epoch"].to_numpy() == when]
    if rows["run"].duplicated().any():
        step = chosen["step"].reindex(rows["run"]).to_numpy(dtype="float64", na_value=np.nan)
        same = rows["step"].to_numpy(dtype="float64", na_value=np.nan) == step
        rows = rows.assign(same=same).sort_values("same", kind="stable").drop_duplicates("run", keep="last")
    return rows.set_index("run")["value"]


def speeds(records: Records) -> pd.Series:
    """Return images per second of each run: as recorded (mean over epochs), else from step counts,
    the batch size and the epochs' durations (median)."""
    epochs = records.epochs
    recorded = epochs[epochs["metric"] == IMAGES_PER_SECOND].groupby("run", observed=True)["value"].mean()
    found = recorded.reindex(records.runs["run"])
    durations = epochs[(epochs["metric"] == SECONDS) & epochs["step"].notna()]
    if durations.empty:
        return found
    for run, settings in zip(records.runs["run"], settings_of(records.runs)):
        batch = settings.get("batch_size")
        own = durations[durations["run"] == run] if is_missing(found[run]) and batch is not None else ()
        if len(own):
            steps = own["step"].to_numpy(dtype="float64")
            rate = np.diff(steps, prepend=0.0)[steps > 0] * float(batch) / own["value"].to_numpy()[steps > 0]
            found[run] = (
                float(np.median(rate[np.isfinite(rate) & (rate > 0)])) if (rate > 0).any() else np.nan
            )
    return found


def _devices(settings: dict[str, Any]) -> float:
    counts = [settings[name] for name in DEVICE_COUNTS if isinstance(settings.get(name), int)]
    return float(max(counts[0], 1)) if counts else 1.0


def _seeds_as_one(values: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Any]:
    """Return a group of seeds as means with intervals; epochs and stages as the median of the group."""
    row: dict[str, Any] = {"seeds": len(values)}
    for name in metrics:
        row[name], row[f"{name} ±"] = mean_and_interval(values[name].tolist())
    for name in ("epoch", "stage"):
        row[name] = float(values[name].median())
    for name in ("seconds", IMAGES_PER_SECOND, "device_hours"):
        row[name] = values[name].mean()
    row["device_hours"] = values["device_hours"].sum()
    return row


def per_stage(records: Records, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the record table of a notebook: one row a run and stage.

    Columns: `run`, `stage`, `name`, `epochs` (as "first-last"), `first_epoch_seconds`, `ms_per_step`
    (of the stage's later epochs, its first being slow), `loss` and `accuracy` at the stage's end.
    `names` are what runs are called instead of by their differences; `seed` then tells those of one name apart.
    """
    shown = names or run_labels(records.runs)
    seeds = dict(zip(records.runs["run"], records.runs["seed"]))
    alike = len(set(shown.values())) < len(shown)
    rows = []
    for (run, stage), own in records.epochs.groupby(["run", "stage"], observed=True, sort=False):
        first, last = int(own["epoch"].min()), int(own["epoch"].max())
        seconds, per_step = _durations(own)
        row = {
            "run": shown[run],
            **({"seed": None if is_missing(seeds[run]) else str(seeds[run])} if alike else {}),
            "stage": stage,
            "name": own["stage_name"].iloc[0],
            "epochs": f"{first}-{last}",
        }
        row |= {"first_epoch_seconds": seconds, "ms_per_step": per_step}
        for name in (LOSS, ACCURACY):
            values = own[own["metric"] == name].sort_values("epoch", kind="stable")["value"]
            row[name] = values.iloc[-1] if len(values) else np.nan
        rows.append(row)
    if not rows:
        raise RecordError("runs with no epochs: there is no stage to show")
    frame = pd.DataFrame(rows)
    return frame.drop(
        columns=[name for name in frame if frame[name].isna().all() or (frame[name] == "").all()]
    )


def _durations(own: pd.DataFrame) -> tuple[float, float]:
    """Return the seconds of a stage's first epoch and the milliseconds a step of its other epochs."""
    rows = own[own["metric"] == SECONDS].sort_values("epoch", kind="stable")
    if rows.empty:
        return np.nan, np.nan
    steps = np.diff(rows["step"].to_numpy(dtype="float64", na_value=np.nan))
    speeds = 1000 * rows["value"].to_numpy()[1:][steps > 0] / steps[steps > 0]
    return float(rows["value"].iloc[0]), float(np.median(speeds)) if len(speeds) else np.nan


def best_lines(records: Records) -> list[dict[str, Any]]:
    """Return for each run what `--json` prints: run, study, name, status and the best of every metric."""
    metrics = [name for name in records.epochs["metric"].unique() if direction(name) is not None]
    bests: dict[str, dict[str, Any]] = {run: {} for run in records.runs["run"]}
    for metric in metrics:
        for row in best(records.epochs, metric).itertuples():
            bests[row.run][metric] = {"value": row.value, "epoch": row.epoch, "stage": row.stage}
    rows = records.runs[["run", "study", "name", "status"]].to_dict("records")
    return [
        {key: None if is_missing(v) else v for key, v in row.items()} | {"best": bests[row["run"]]}
        for row in rows
    ]
