"""What a study cost, and where its runs lie."""

from __future__ import annotations

import os
from pathlib import Path

from analysis.frames import is_missing, run_labels
from analysis.report.collect import ALL_ROWS, Study, mlflow_pages
from analysis.report.page import Block, Links, Table, Text
from analysis.tables import summary
from analysis.tables.render import clock

NOTES_SHOWN = 6
UI_ADDRESS = "http://127.0.0.1:5000/"  # where `workbench ui` shows MLflow unless told otherwise


def costs(study: Study) -> list[Block]:
    """Return how long the study took, in all and by stages."""
    frame, known = study.frame, study.trained.runs
    seconds = known["seconds"].dropna()
    if seconds.empty:
        return [Text(["No run has recorded how long it took."])]
    said = [
        f"{clock(float(seconds.sum()))} in all"
        + (f" of {len(seconds)} of {len(known)} runs" if len(seconds) < len(known) else "")
    ]
    if "device_hours" in frame:
        said.append(f"{frame['device_hours'].sum():.2f} device hours")
    if len(seconds) > 1:
        said.append(
            f"a run takes {clock(float(seconds.median()))} (median), at most {clock(float(seconds.max()))}"
        )
    stages = summary.per_stage(study.trained, study.names())
    fold = "" if len(stages) <= ALL_ROWS else f"All {len(stages)} stages"
    return [Text(["; ".join(said) + "."]), Table(stages, fold=fold)]


def runs(study: Study, folder: Path) -> list[Block]:
    """Return links to every run's records, relative to `folder`, and to its page in MLflow."""
    shown, pages = run_labels(study.trained.runs), mlflow_pages(study.store)
    rows = []
    for run, name, status in study.trained.runs[["run", "name", "status"]].itertuples(index=False, name=None):
        title = shown[run] if is_missing(name) or shown[run] == name else f"{name} ({shown[run]})"
        rows.append((title, f"{run}, {status}", _addresses(study, str(run), pages, folder)))
    ui = "Links to MLflow work while `workbench ui` runs here; the others lead into the folder of records."
    fold = "" if len(rows) <= ALL_ROWS else f"All {len(rows)} runs"
    notes = [str(note) for note in study.trained.notes]
    blocks: list[Block] = [Text([ui]), Links(rows, fold)]
    if notes:
        blocks.append(Text([f"Remarks made while reading: {'; '.join(notes[:NOTES_SHOWN])}"]))
    return [*blocks, Text([f"Partial: {study.trained.partial}"])] if study.trained.partial else blocks


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
