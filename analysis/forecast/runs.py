"""From the two frames to curves: one metric of each run, with what was planned for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.forecast.curve import Curve
from analysis.forecast.plans import Planned, from_spec
from analysis.frames import Records, is_missing, per_epoch, run_labels
from analysis.sources import trainings
from workbench.errors import RecordError, StoreError, suggestion
from workbench.names import FINISHED, LEARNING_RATE, SECONDS
from workbench.tracking.journal import read_journal
from workbench.tracking.store import Store, find_store

DATA = "data"  # the setting that names the data set, and begins the names of its own settings


def curves(records: Records, metric: str, store: str | None = None) -> list[Curve]:
    """Return the curve of `metric` of every run that has it, in the order of `records`.

    What was planned comes from the journals of `store` where a run has one there; a run without a status (a
    history, a log) counts as finished. Raises `RecordError` when no run has the metric.
    """
    # By attempt within an epoch, so that the later of two attempts is the one that counts.
    epochs = per_epoch(records.epochs).sort_values(["epoch", "attempt"], kind="stable")
    rows = dict(tuple(epochs[epochs["metric"] == metric].groupby("run", observed=True)))
    if not rows:
        known = [str(name) for name in records.epochs["metric"].unique()]
        raise RecordError(f"no metric {metric!r}", do=suggestion(metric, known))
    rates = dict(tuple(epochs[epochs["metric"] == LEARNING_RATE].groupby("run", observed=True)))
    times = epochs[epochs["metric"] == SECONDS].groupby("run", observed=True)["value"].median()
    labels, place = run_labels(records.runs), _place(store)
    found = []
    for facts in records.runs.to_dict("records"):
        run = facts["run"]
        if run in rows:
            # The journal's spec knows the future rates; from rows alone only the past ones are known.
            made = _curve(facts, metric, rows[run], rates.get(run), _planned(place, run), times.get(run))
            found.append(replace(made, name=labels[run], data=data_set(facts)))
    return found


def study_curves(study: str, metric: str, store: str | None) -> list[Curve]:
    """Return the curves of a study's trainings in a store, none where no run of it has the metric."""
    records = trainings(store)
    own = records.only(records.runs["run"][records.runs["study"] == study])
    return curves(own, metric, store) if metric in set(own.epochs["metric"]) else []


def data_set(settings: Mapping[str, Any]) -> str:
    """Return what a run with these settings is trained on, as one text; "" where they do not say."""
    mine = {name: value for name, value in settings.items() if name == DATA or name.startswith(f"{DATA}.")}
    known = sorted((name, value) for name, value in mine.items() if not is_missing(value))
    return ", ".join(f"{name}={value}" for name, value in known)


def _curve(
    facts: Mapping[str, Any],
    metric: str,
    rows: pd.DataFrame,
    rates: pd.DataFrame | None,
    plan: Planned | None,
    seconds: float | None,
) -> Curve:
    epochs, values = rows["epoch"].tolist(), rows["value"].tolist()
    first = min(epochs)
    known = {name: value for name, value in facts.items() if not is_missing(value)}
    # Imported runs know their whole time at most.
    if seconds is None and known.get("seconds"):
        seconds = float(known["seconds"]) / len(epochs)
    if plan is not None:
        total, stages, planned = plan.total, plan.stages, plan.rates[first - 1 :]
    else:
        starts = rows.loc[rows["stage"].diff().fillna(0) != 0, "epoch"]
        # A log does not say where it was meant to end: whoever asks gives --to.
        total, stages = None, (first, *(int(epoch) for epoch in starts))
        planned = () if rates is None else _aligned(rates, first)
    return Curve(
        metric=metric,
        values=values,
        epochs=epochs,
        total=total,
        rates=planned,
        stages=stages,
        finished=known.get("status", FINISHED) == FINISHED,
        seconds=None if seconds is None else float(seconds),
        run=str(facts["run"]),
        study=str(known.get("study", "")),
        quick=bool(known.get("quick", False)),
    )


def _aligned(rates: pd.DataFrame, first: int) -> tuple[float, ...]:
    """Return one rate an epoch from `first` on; () where an epoch has none."""
    by_epoch = dict(zip(rates["epoch"].tolist(), rates["value"].tolist(), strict=True))
    wanted = range(first, max(by_epoch) + 1)
    # All or none: a gap filled by guess could hide a fall of the rate, which is the very thing that counts.
    if not all(epoch in by_epoch and np.isfinite(by_epoch[epoch]) for epoch in wanted):
        return ()
    return tuple(float(by_epoch[epoch]) for epoch in wanted)


def _place(store: str | None) -> Store | None:
    try:
        return find_store(store)
    except StoreError:
        if store is not None:
            raise
        return None


def _planned(place: Store | None, run: str) -> Planned | None:
    # A slash is of a file's name, never of a run's: no path is made of it.
    if place is None or "/" in run or not place.journal(run).is_file():
        return None
    start = read_journal(place.journal(run)).start
    return None if start is None else from_spec(start.spec)


def priors(curves: Sequence[Curve]) -> tuple[list[Curve], dict[str, int]]:
    """Return the curves that may say something about others, and how many may not, by the reason.

    A run that failed, was killed or stopped, or is still running has no end to learn from; one of `--quick`
    trains a few steps an epoch. (Runs on other data are left out by `CrossRunPrior`, which knows whom it is asked for.)
    """
    reasons: dict[str, int] = {}
    usable = []
    for curve in curves:
        # One reason a run, the first that holds, so that the counts add up.
        reason = "not finished" if not curve.finished else "quick" if curve.quick else ""
        if not reason and not np.isfinite(curve.values[-1]):
            reason = "diverged"
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            usable.append(curve)
    return usable, reasons
