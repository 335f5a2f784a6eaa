"""Records made by hand for tests of analysis: frames, logs line by line, MLflow's tables without MLflow."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.frames import MEASURED, Records, RunData, build
from analysis.tables.verdicts import decisions
from workbench.tracking.history import history_text
from workbench.tracking.journal import JournalWriter, read_journal
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord

SCHEMA = """
CREATE TABLE experiments(experiment_id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE runs(run_uuid TEXT PRIMARY KEY, name TEXT, status TEXT, start_time INTEGER, end_time INTEGER,
                  lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER);
CREATE TABLE tags(key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE params(key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE metrics(key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan INTEGER);
"""


def run(name: str, values: Mapping[str, Sequence[float]], first_epoch: int = 1, **given: Any) -> RunData:
    """Make a run of lists by metric, the first value being that of `first_epoch`."""
    facts = {"name": name, "origin": "test", "status": "finished", **given.pop("facts", {})}
    data = RunData(run=name, file="test", facts=facts, first_epoch=first_epoch, **given)
    for metric, own in values.items():
        data.add(metric, MEASURED, range(first_epoch, first_epoch + len(own)), list(own))
    return data


def records(*runs: RunData) -> Records:
    """Make the frames of some runs."""
    return build(runs)


def add_run(
    project: Path,
    number: int,
    name: str,
    value: float | Sequence[float],
    scores: np.ndarray | None = None,
    lfw: Sequence[float] = (),
    study: str = "study",
    question: str = "",
    epoch: int = 1,
    **more: int,
) -> str:
    """Write a journal of one stage (one epoch a value of the set "unseen"), and scores of its pairs."""
    run = f"20260101T{number:06d}Z-{number:08d}"
    values = [value] if isinstance(value, float) else list(value)
    parameters = {"batch_size": 8, "label_smoothing": number / 10, **more}
    start = StartRecord(
        run=run,
        id=f"{more.get('group', number):012x}",
        study=study,
        name=name,
        seed=more.get("seed", 0),
        time=1767225600.0 + number,
        parameters=parameters,
        provenance={"question": question},
        stages=({"number": 1, "name": "Softmax", "epochs": len(values), "first_epoch": 1},),
    )
    path = project / "mlruns" / "journal" / f"{run}.jsonl"
    path.unlink(missing_ok=True)
    with JournalWriter(path) as journal:
        journal.append(start)
        for at, unseen in enumerate(values):
            row = {"loss": 1.0, "unseen": unseen} | ({"lfw": lfw[at]} if lfw else {})
            journal.append(
                EpochRecord(stage=1, stage_epoch=at + 1, epoch=at + 1, step=at + 1, metrics=row, seconds=1.0)
            )
        journal.append(EndRecord(status="finished"))
    if scores is not None:
        place = path.with_name(f"{run}.d") / "artifacts" / "scores" / "best"
        place.mkdir(parents=True)
        same = np.arange(len(scores)) % 2 == 0
        kept = {"scores": scores, "same": same, "pairs": str(more.get("pairs", "p")), "epoch": epoch}
        np.savez(place / "unseen.npz", **kept)
    return run


def add_scored_runs(project: Path, later: Sequence[float] = (0.0,), question: str = "") -> None:
    """Write three runs on 2,000 common pairs: `base`, `alike`, and `better`, clearly; `later` is added epoch by epoch."""
    rng = np.random.default_rng(0)
    same = np.arange(2000) % 2 == 0
    for number, (name, noise) in enumerate({"base": 1.0, "alike": 1.0, "better": 0.6}.items(), start=1):
        scores = same + rng.normal(0, noise, 2000)
        value = float(np.mean(decisions(scores, same)))
        add_run(project, number, name, [value + more for more in later], scores, question=question)


def write_history_run(project: Path) -> tuple[str, Path]:
    """Write the journal and `history.json` of a run of two stages, two epochs each; lfw is measured from epoch 2 on."""
    run = "20260101T000001Z-00000001"
    stages = [{"number": n, "name": f"s{n}", "epochs": 2, "first_epoch": 2 * n - 1} for n in (1, 2)]
    path = project / "mlruns" / "journal" / f"{run}.jsonl"
    with JournalWriter(path) as journal:
        journal.append(
            StartRecord(run=run, id="0" * 12, study="study", name="base", seed=0, stages=tuple(stages))
        )
        for epoch in range(1, 5):
            row = {"loss": 5.0 - epoch} | ({"lfw": [0.9, 0.92, 0.95][epoch - 2]} if epoch > 1 else {})
            facts = {
                "stage": (epoch + 1) // 2,
                "stage_epoch": (epoch - 1) % 2 + 1,
                "epoch": epoch,
                "step": epoch,
            }
            journal.append(EpochRecord(**facts, metrics=row, seconds=1.0))
        journal.append(EndRecord(status="finished"))
        text = history_text(read_journal(path).accepted())
    file = path.with_name(f"{run}.d") / "artifacts" / "history.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return run, file


def mlflow_database(folder: Path, runs: Sequence[Mapping[str, Any]]) -> Path:
    """Make MLflow's tables for runs given as dicts: id, tags, params, metrics {name: {step: value}}."""
    path = folder / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO experiments VALUES (1, 'study')")
        for number, content in enumerate(runs):
            name, stage = content["id"], content.get("lifecycle", "active")
            row = (name, content.get("name", name), "FINISHED", 1000 + number, 61_000 + number, stage, "", 1)
            connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            for table in ("tags", "params"):
                rows = [(key, value, name) for key, value in content.get(table, {}).items()]
                connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
            for metric, points in content.get("metrics", {}).items():
                rows = [
                    (metric, 0.0 if v != v else v, 0, name, step, int(v != v)) for step, v in points.items()
                ]
                connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
    return path


MXNET_ARGUMENTS = (
    "Called with argument: Namespace(batch_size=512, lr=0.1, lr_steps='20,30', margin_m=0.5, network='y1')"
)


def mxnet_lines(epochs: int = 2, batches: int = 2) -> list[str]:
    """Return the lines of one launch: `batches` x 10 steps an epoch, an evaluation at each epoch's end."""
    lines = ["gpu num: 1", MXNET_ARGUMENTS, "lr_steps [20, 30]"]
    for epoch in range(epochs):
        for batch in range(0, batches * 10, 10):
            lines.append(
                f"INFO:root:Epoch[{epoch}] Batch [{batch}]\tSpeed: {500 + batch:.2f} samples/sec\tacc=0.100000"
            )
        step = (epoch + 1) * batches * 10
        lines.append(f"lr-batch-epoch: 0.1 {batches * 10 - 1} {epoch}")
        lines.append("testing verification..")
        lines.append(f"[lfw][{step}]XNorm: 11.000000")
        lines.append(f"[lfw][{step}]Accuracy-Flip: 0.9{epoch}000+-0.00400")
        lines.append(f"INFO:root:Epoch[{epoch}] Train-acc=0.{epoch + 1}00000")
        lines.append(f"INFO:root:Epoch[{epoch}] Time cost=10.000")
    return [f"[2018-05-07 10:{n // 60:02d}:{n % 60:02d}]  {line}" for n, line in enumerate(lines)]


def write_lines(path: Path, lines: Sequence[str], end: str = "\n") -> Path:
    """Write lines with a line end after each, the last one followed by `end`."""
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return path
