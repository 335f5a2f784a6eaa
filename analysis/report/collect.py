"""Everything that is known of one study, gathered once: its runs, their comparison, where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from analysis.frames import FROM_JOURNALS, Records, is_missing
from analysis.sources import load, trainings
from analysis.tables import folded, summary, verdicts
from workbench.errors import RecordError, suggestion
from workbench.names import is_evaluation
from workbench.security.foreign_files import read_file
from workbench.security.safe_source import docstring
from workbench.tracking.journal import read_journal
from workbench.tracking.runs import stored_runs
from workbench.tracking.store import Store, StoredRun, connect

ALL_ROWS = 30  # so many rows are shown in full; of more the best, the last, and all of them folded


@dataclass(frozen=True)
class Study:
    """A study's records and their comparison at the epochs that `select` chose; `frame` has a row a run or
    group of seeds, ranked by `metric`: `select` itself, or the last evaluation set where that is none.

    `records` have the folds of an experiment as one run, `trained` has every run; `members` are names in `records`.

    `rows` hold, for each metric that is judged, what is known of each row of `frame`.
    """

    name: str
    store: Store
    records: Records
    select: str
    metric: str
    frame: pd.DataFrame
    members: list[list[str]]
    baseline: int
    trained: Records
    rows: dict[str, list[verdicts.Row]] = field(default_factory=dict)
    question: str = ""
    prose: str = ""

    def names(self) -> dict[str, str]:
        """Return what the row of each trained run is called, by run."""
        return {run: str(name) for name, runs in zip(self.frame["run"], self.runs()) for run in runs}

    def runs(self) -> list[list[str]]:
        """Return the trained runs of each row."""
        folds = folded.runs_of(self.trained.runs)
        return [[run for member in runs for run in folds.get(member, [member])] for runs in self.members]

    def judged(self, metric: str) -> pd.DataFrame:
        """Return name, value and verdict of every row on one metric, at the epochs that `select` chose."""
        rows = self.rows[metric]
        frame = pd.DataFrame({"run": self.frame["run"], metric: [row.value for row in rows]})
        return verdicts.with_verdicts(frame, rows, metric, rows[self.baseline], strict=False)

    def order(self) -> list[int]:
        """Return the positions of all rows, the best by `metric` first, rows without a value last."""
        return verdicts.best_first(self.frame[self.metric], self.metric)


def read_study(
    study: str, store: Store, address: str | None, select: str | None, baselines: Sequence[str], quick: bool
) -> Study:
    """Gather a study; the baseline is its first run by default.

    Raises `RecordError` for an unknown study, metric or baseline, and for a study without an epoch.
    """
    trained = _records(study, store, address, quick)
    records = folded.collapsed(trained, store)
    select = select or summary.default_metric(records)
    frame = summary.summary(records, select)
    groups = summary.seed_groups(records.runs)
    members = [[str(records.runs["run"].iloc[place]) for place in group] for group in groups]
    shown = summary.metrics_shown(records, select)
    sets = [name for name in shown if is_evaluation(name) and name in frame]
    metric = summary.compared_metric(records, select)
    judged = [metric, *sets]
    frame["run"] = _unique(frame["run"].tolist(), [runs[0] for runs in members])
    rows = {name: verdicts.rows_of(records, frame, select, store, name) for name in dict.fromkeys(judged)}
    own = rows[metric]
    baseline = own.index(verdicts.find_baseline(own, baselines)) if baselines else _first(records, members)
    question, prose = _question(store, [str(run) for run in trained.runs["run"]])
    return Study(
        study, store, records, select, metric, frame, members, baseline, trained, rows, question, prose
    )


def _records(name: str, store: Store, address: str | None, quick: bool) -> Records:
    records = trainings(address)
    known = [str(study) for study in records.runs["study"] if not is_missing(study)]
    if name not in known:
        raise RecordError(f"no study {name!r}", where=store.root, do=suggestion(name, dict.fromkeys(known)))
    own = records.runs[records.runs["study"] == name]
    if not quick:
        own = own[~own["quick"].eq(True)]
    if own.empty:
        raise RecordError(f"study {name!r} has only --quick runs", do="give --quick to see them")
    runs = [str(run) for run in own.sort_values("started", kind="stable", na_position="last")["run"]]
    journals = set(store.runs())
    if len(runs) <= FROM_JOURNALS and journals.issuperset(runs):
        return load(runs, address, journals=True).only(runs)
    return records.only(runs)


def _unique(names: Sequence[str], runs: Sequence[str]) -> list[str]:
    """Return the rows' names, with the end of the run's own name where two rows are called alike."""
    return [name if names.count(name) == 1 else f"{name} ({run[-8:]})" for name, run in zip(names, runs)]


def _first(records: Records, members: Sequence[Sequence[str]]) -> int:
    """Return the row of the run that was started first; a trunk is no baseline of its own branches."""
    trunks = set(records.runs["parent"].dropna().astype(str))
    order = records.runs.sort_values("started", kind="stable", na_position="last")["run"].astype(str)
    first = next((run for run in order if run not in trunks), order.iloc[0])
    return next(position for position, group in enumerate(members) if first in group)


def _question(store: Store, runs: Sequence[str]) -> tuple[str, str]:
    """Return the newest recorded question of the study, and the rest of its spec's docstring."""
    for run in sorted((run for run in runs if store.journal(run).is_file()), reverse=True):
        start = read_journal(store.journal(run)).start
        if start and start.provenance.get("question"):
            return str(start.provenance["question"]), _prose(store, run)
    return "", ""


def _prose(store: Store, run: str) -> str:
    path = store.run_artifacts(run) / "spec.py"
    try:
        text = docstring(read_file(path).decode())
    except (OSError, ValueError):
        return ""  # a run without its spec's source still has its question
    return text.partition("\n")[2].strip()


def mlflow_pages(store: Store) -> dict[str, str]:
    """Return the path of each run's page in MLflow, by our name of the run."""
    rows: list[StoredRun] = stored_runs(store)
    if not rows:
        return {}
    with connect(store.database) as connection:
        place = dict(connection.execute("SELECT run_uuid, experiment_id FROM runs").fetchall())
    return {
        row.run or row.mlflow_id: f"#/experiments/{place[row.mlflow_id]}/runs/{row.mlflow_id}" for row in rows
    }
